package lab

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// binfmtImage exists in the engine's own store only.
const binfmtImage = "ghcr-publish/binfmt:local"

// qemuPackage holds statically linked emulators.
const qemuPackage = "qemu-user-static:" + runtime.GOARCH

// An emulator runs another architecture's programs on this machine.
type emulator struct {
	arch string // what it emulates, as images name it
	cpu  string // the same, as QEMU names it
	// magic and mask say which programs are the emulator's to run: 64-bit little-endian ELF for that processor.
	magic, mask string
}

// emulators holds, by this machine's architecture, the emulator for the other one.
var emulators = map[string]emulator{
	"amd64": {
		arch: "arm64", cpu: "aarch64",
		magic: `\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`,
		mask:  `\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`,
	},
	"arm64": {
		arch: "amd64", cpu: "x86_64",
		magic: `\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00`,
		mask:  `\xff\xff\xff\xff\xff\xfe\xfe\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`,
	},
}

// script is the image's entry point. It knows the one option of tonistiigi/binfmt that matters
// here. The flags: F has the kernel keep the emulator open, so that containers without the file
// can use it; P, O and C let the emulated program see its own name and credentials.
const script = `#!/bin/sh
set -eu
case "$*" in
  "--install ARCH" | "--install all") ;;
  *) echo "binfmt: usage: --install ARCH|all" >&2; exit 2 ;;
esac
dir=/proc/sys/fs/binfmt_misc
entry=$dir/qemu-CPU
[ -e $dir/register ] || mount -t binfmt_misc binfmt_misc $dir
if [ -e $entry ]; then
  if grep -q '^enabled' $entry && grep -q '^flags:.*F' $entry; then
    echo "binfmt: ARCH is registered already"
    exit 0
  fi
  echo -1 >$entry
fi
printf '%s' ':qemu-CPU:M::MAGIC:MASK:/usr/bin/qemu-CPU:POCF' >$dir/register
[ -e $entry ] || { echo "binfmt: the kernel did not register ARCH" >&2; exit 1; }
echo "binfmt: registered ARCH"
`

func (e emulator) script() []byte {
	fill := strings.NewReplacer("ARCH", e.arch, "CPU", e.cpu, "MAGIC", e.magic, "MASK", e.mask)
	return []byte(fill.Replace(script))
}

// made tells one version of the image from another.
func (e emulator) made() string {
	return fmt.Sprintf("%x", sha256.Sum256(e.script()))[:12]
}

// makeBinfmt makes an image that registers the emulator when it is run privileged.
func (s *setup) makeBinfmt(ctx context.Context, image string, e emulator, root []file, deb string) error {
	if s.stored(ctx, image, e.made()) {
		return nil
	}
	qemu, err := extract(ctx, deb, "usr/bin/qemu-"+e.cpu+"-static")
	if err != nil {
		return fmt.Errorf("making %s: %w", image, err)
	}
	files := append(slices.Clone(root),
		file{name: "usr/bin/", mode: 0o755},
		file{name: "usr/bin/qemu-" + e.cpu, mode: 0o755, data: qemu},
		file{name: "usr/bin/binfmt", mode: 0o755, data: e.script()})
	return s.load(ctx, image, e.made(), files, `ENTRYPOINT ["/usr/bin/binfmt"]`)
}

const binfmtMisc = "/proc/sys/fs/binfmt_misc"

// mountBinfmt gives the kernel's table of emulators a mount that stays, as systemd does where it runs.
// Since Linux 6.7 the entries go with the last mount: those that a container registers would end with it.
func (s *setup) mountBinfmt() error {
	if _, err := os.Stat(filepath.Join(binfmtMisc, "register")); err == nil || !s.Install || os.Geteuid() != 0 || os.Getenv("DOCKER_HOST") != "" {
		return nil
	}
	s.Log("mounting %s", binfmtMisc)
	if err := syscall.Mount("binfmt_misc", binfmtMisc, "binfmt_misc", 0, ""); err != nil {
		return fmt.Errorf("mounting %s: %w", binfmtMisc, err)
	}
	return nil
}
