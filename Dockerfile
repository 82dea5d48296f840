# The image of the action: the program, buildx, Trivy, Docker Compose, git, ssh and what these need, and nothing else.
# All of it is compiled or unpacked on the builder's own platform; nothing runs under emulation.

FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS go
ARG BUILDARCH
ARG TARGETARCH
ENV GOTOOLCHAIN=local CGO_ENABLED=0 GOARCH=$TARGETARCH

# buildx as go.mod pins it, and the program itself: static, with SQLite by a C compiler for the target.
FROM go AS build
RUN case "$BUILDARCH/$TARGETARCH" in \
      amd64/arm64) packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;; \
      arm64/amd64) packages="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;; \
    esac; \
    if [ -n "$packages" ]; then apt-get update && apt-get install -y --no-install-recommends $packages && rm -rf /var/lib/apt/lists/*; fi
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -trimpath -ldflags "-s -w -X github.com/docker/buildx/version.Version=$(go list -m -f '{{.Version}}' github.com/docker/buildx)" \
      -o /out/ github.com/docker/buildx/cmd/buildx
COPY main.go ./
COPY internal internal
ARG VERSION=""
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    case "$TARGETARCH" in amd64) CC=x86_64-linux-gnu-gcc ;; arm64) CC=aarch64-linux-gnu-gcc ;; esac; \
    CC=$CC CGO_ENABLED=1 go build -trimpath -tags netgo,osusergo,sqlite_omit_load_extension \
      -ldflags "-s -w -linkmode external -extldflags -static -X main.version=$VERSION" -o /out/ghcr-publish .

# Trivy from its own module, whose go.sum pins the rest. The checksum is of v0.69.3: later releases of
# that line were published by an attacker.
FROM go AS trivy
ARG TRIVY_VERSION=v0.69.3
ARG TRIVY_SUM=h1:Q9zHTOiNqPy3/GGn2iJ9nfdzGc5HGiE1i12UNWtzK7U=
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go mod download -json "github.com/aquasecurity/trivy@$TRIVY_VERSION" >/tmp/trivy.json && \
    grep -qF "\"Sum\": \"$TRIVY_SUM\"" /tmp/trivy.json && \
    cd "/go/pkg/mod/github.com/aquasecurity/trivy@$TRIVY_VERSION" && \
    GOEXPERIMENT=jsonv2 go build -trimpath -ldflags "-s -w -X github.com/aquasecurity/trivy/pkg/version/app.ver=${TRIVY_VERSION#v}" \
      -o /out/trivy ./cmd/trivy

# Docker Compose, likewise.
FROM go AS compose
ARG COMPOSE_VERSION=v2.40.3
ARG COMPOSE_SUM=h1:XeYkQu1svDtyfZPv5nTwFryQ25ZJMkIlc4pz9HalMPI=
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go mod download -json "github.com/docker/compose/v2@$COMPOSE_VERSION" >/tmp/compose.json && \
    grep -qF "\"Sum\": \"$COMPOSE_SUM\"" /tmp/compose.json && \
    cd "/go/pkg/mod/github.com/docker/compose/v2@$COMPOSE_VERSION" && \
    go build -trimpath -ldflags "-s -w -X github.com/docker/compose/v2/internal.Version=$COMPOSE_VERSION" -o /out/docker-compose ./cmd

# git, ssh and the libraries that they and git's HTTPS transport name, out of the target's packages. A workspace
# belongs to the runner's user and not to root; the program tells git that it is safe, but buildx lets
# no such word through to the git that it asks for the provenance.
FROM go AS git
WORKDIR /packages
RUN dpkg --add-architecture "$TARGETARCH" && apt-get update && \
    touch /empty && \
    apt-get -o Dir::State::status=/empty -o Dir::Cache::archives=/packages -o APT::Architecture="$TARGETARCH" -o APT::Architectures="$TARGETARCH" \
      install -y --download-only --no-install-recommends git openssh-client && \
    for package in *.deb; do dpkg-deb -x "$package" /root-of-target; done
COPY internal/image/closure.sh /
RUN sh /closure.sh /root-of-target /out usr/bin/git usr/bin/ssh usr/lib/git-core/git-remote-http && \
    ln -s ../../bin/git /out/usr/lib/git-core/git && ln -s git-remote-http /out/usr/lib/git-core/git-remote-https && \
    mkdir -p /out/usr/share/git-core/templates /out/etc/ssl/certs /out/usr/local/bin && \
    cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ && \
    echo 'root:x:0:0:root:/root:/usr/sbin/nologin' >/out/etc/passwd && \
    printf '[safe]\n\tdirectory = *\n' >/out/etc/gitconfig && \
    install -d -m 1777 /out/tmp && install -d -m 0700 /out/root && \
    ln -s ghcr-publish /out/usr/local/bin/ghcr-publish-post

FROM scratch
LABEL org.opencontainers.image.title=ghcr-publish \
      org.opencontainers.image.description="Builds, scans, tries out and publishes the images of a repository with several services." \
      org.opencontainers.image.source=https://github.com/org/ghcr-publish
COPY --from=git /out/ /
COPY --from=trivy /out/trivy /usr/local/bin/
COPY --from=compose /out/docker-compose /usr/local/bin/
COPY --from=build /out/buildx /out/ghcr-publish /usr/local/bin/
ENV PATH=/usr/local/bin:/usr/bin
ENTRYPOINT ["/usr/local/bin/ghcr-publish"]
