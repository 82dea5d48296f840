package enginetest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

const (
	repo   = "127.0.0.1:5000/org/api"
	ref    = repo + "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	label  = "test.run"
	moment = 30 * time.Millisecond
)

var port = network.MustParsePort("8080/tcp")

func start(t *testing.T, b Behaviour) (*Server, *client.Client) {
	t.Helper()
	s := Start()
	t.Cleanup(s.Close)
	s.Behave(repo, b)
	api, err := client.New(client.WithHost(s.Host()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Close() })
	return s, api
}

func pull(t *testing.T, api *client.Client, image string) {
	t.Helper()
	progress, err := api.ImagePull(t.Context(), image, client.ImagePullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := progress.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, api *client.Client, binding network.PortBinding) string {
	t.Helper()
	made, err := api.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Config:     &container.Config{Image: ref, Labels: map[string]string{label: "1"}, ExposedPorts: network.PortSet{port: {}}},
		HostConfig: &container.HostConfig{PortBindings: network.PortMap{port: {binding}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// run pulls the image and starts a container of it, on a free port.
func run(t *testing.T, api *client.Client) string {
	t.Helper()
	pull(t, api, ref)
	id := create(t, api, network.PortBinding{HostIP: netip.MustParseAddr("127.0.0.1")})
	if _, err := api.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	return id
}

func inspect(t *testing.T, api *client.Client, id string) container.InspectResponse {
	t.Helper()
	got, err := api.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Container
}

func address(t *testing.T, api *client.Client, id string) string {
	t.Helper()
	bindings := inspect(t, api, id).NetworkSettings.Ports[port]
	if len(bindings) != 1 || bindings[0].HostPort == "" || bindings[0].HostPort == "0" {
		t.Fatalf("the port is published as %v", bindings)
	}
	return net.JoinHostPort("127.0.0.1", bindings[0].HostPort)
}

// fetch returns the status the address answers with, 0 when there is no answer.
func fetch(ctx context.Context, address string) int {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/health", nil)
	if err != nil {
		return 0
	}
	got, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		return 0
	}
	defer got.Body.Close()
	return got.StatusCode
}

// eventually asks until the answer is the one wanted.
func eventually[T comparable](t *testing.T, what string, want T, ask func() T) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		got := ask()
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %v, want %v", what, got, want)
		}
		time.Sleep(time.Millisecond)
	}
}

func checkNoProblems(t *testing.T, s *Server) {
	t.Helper()
	if got := s.Problems(); len(got) != 0 {
		t.Errorf("Problems() = %q", got)
	}
}

func TestNegotiates(t *testing.T) {
	t.Parallel()
	s, api := start(t, Behaviour{})
	got, err := api.Ping(t.Context(), client.PingOptions{NegotiateAPIVersion: true})
	if err != nil || got.APIVersion != "1.41" || got.OSType != "linux" || got.BuilderVersion != "2" || api.ClientVersion() != "1.41" {
		t.Errorf("Ping() = %+v, %v and the client speaks %s; want 1.41", got, err, api.ClientVersion())
	}
	version, err := api.ServerVersion(t.Context(), client.ServerVersionOptions{})
	if err != nil || version.APIVersion != "1.41" || version.Os != "linux" {
		t.Errorf("ServerVersion() = %+v, %v", version, err)
	}
	if diff := cmp.Diff([]string{"HEAD /_ping", "GET /version"}, s.Requests()); diff != "" {
		t.Errorf("Requests() differs (-want +got):\n%s", diff)
	}
	checkNoProblems(t, s)
}

// The life of a container: pulled, started, healthy after a while, measured, read, taken away.
func TestHealthyAfterDelay(t *testing.T) {
	t.Parallel()
	s, api := start(t, Behaviour{Delay: moment, HealthCheck: true, Stdout: "one\ntwo\n", Stderr: "oops\n", Memory: 1 << 20, CPU: time.Second})
	id := run(t, api)
	if got := s.Pulled(); !slices.Equal(got, []string{ref}) {
		t.Errorf("Pulled() = %v, want %s", got, ref)
	}
	at := address(t, api, id)
	eventually(t, "the port's answer", http.StatusOK, func() int { return fetch(t.Context(), at) })
	eventually(t, "the health", container.Healthy, func() container.HealthStatus { return inspect(t, api, id).State.Health.Status })
	checkStats(t, api, id)
	if out, errs := logs(t, api, id, ""); out != "one\ntwo\n" || errs != "oops\n" {
		t.Errorf("the logs are %q and %q", out, errs)
	}
	if out, errs := logs(t, api, id, "2"); out != "two\n" || errs != "oops\n" {
		t.Errorf("the last two lines are %q and %q", out, errs)
	}
	if got := s.Running(); !slices.Equal(got, []string{ref}) {
		t.Errorf("Running() = %v, want %s", got, ref)
	}
	if _, err := api.ContainerRemove(t.Context(), id, client.ContainerRemoveOptions{}); err == nil {
		t.Error("a running container was removed without force")
	}
	if _, err := api.ContainerRemove(t.Context(), id, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Error(err)
	}
	if got := s.Running(); len(got) != 0 {
		t.Errorf("Running() = %v after the removal", got)
	}
	if got := fetch(t.Context(), at); got != 0 {
		t.Errorf("after the removal the port answers %d", got)
	}
	checkNoProblems(t, s)
}

func checkStats(t *testing.T, api *client.Client, id string) {
	t.Helper()
	got, err := api.ContainerStats(t.Context(), id, client.ContainerStatsOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	var sample struct {
		Memory struct {
			Usage uint64 `json:"usage"`
		} `json:"memory_stats"`
		CPU struct {
			Usage struct {
				Total uint64 `json:"total_usage"`
			} `json:"cpu_usage"`
		} `json:"cpu_stats"`
	}
	if err := json.NewDecoder(got.Body).Decode(&sample); err != nil || sample.Memory.Usage != 1<<20 || sample.CPU.Usage.Total != uint64(time.Second) {
		t.Errorf("the sample is %+v, %v", sample, err)
	}
}

func logs(t *testing.T, api *client.Client, id, tail string) (stdout, stderr string) {
	t.Helper()
	stream, err := api.ContainerLogs(t.Context(), id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: tail})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var out, errs bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &errs, stream); err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String()
}

func TestUnwell(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		behaviour Behaviour
		status    int
		health    container.HealthStatus
	}{
		"always 500":  {Behaviour{Status: 500, HealthCheck: true}, 500, container.Unhealthy},
		"silent":      {Behaviour{Silent: true, HealthCheck: true}, 0, container.Unhealthy},
		"not yet":     {Behaviour{Delay: time.Hour, HealthCheck: true}, 0, container.Starting},
		"not found":   {Behaviour{Status: 404, HealthCheck: true}, 404, container.Healthy},
		"long to end": {Behaviour{Exits: true, Delay: time.Hour, HealthCheck: true}, 200, container.Starting},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, api := start(t, test.behaviour)
			id := run(t, api)
			if got := fetch(t.Context(), address(t, api, id)); got != test.status {
				t.Errorf("the port answers %d, want %d", got, test.status)
			}
			if got := inspect(t, api, id).State; got.Health == nil || got.Health.Status != test.health || !got.Running {
				t.Errorf("the state is %+v, want it %s", got, test.health)
			}
			checkNoProblems(t, s)
		})
	}
}

func TestExits(t *testing.T) {
	t.Parallel()
	s, api := start(t, Behaviour{Delay: moment, Exits: true, ExitCode: 137, OOMKilled: true})
	id := run(t, api)
	wait := api.ContainerWait(t.Context(), id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case got := <-wait.Result:
		if got.StatusCode != 137 {
			t.Errorf("it ended with %d, want 137", got.StatusCode)
		}
	case err := <-wait.Error:
		t.Fatal(err)
	}
	if got := inspect(t, api, id); got.State.Running || got.State.ExitCode != 137 || !got.State.OOMKilled || got.State.Status != container.StateExited || got.State.Health != nil {
		t.Errorf("after its end the state is %+v", got.State)
	}
	wait = api.ContainerWait(t.Context(), id, client.ContainerWaitOptions{})
	if got := <-wait.Result; got.StatusCode != 137 {
		t.Errorf("waiting for the ended one gives %d", got.StatusCode)
	}
	if got := s.Running(); len(got) != 1 {
		t.Errorf("Running() = %v, want the one that was not removed", got)
	}
	if _, err := api.ContainerRemove(t.Context(), id, client.ContainerRemoveOptions{}); err != nil {
		t.Error(err)
	}
	checkNoProblems(t, s)
}

func TestStopAndKill(t *testing.T) {
	t.Parallel()
	s, api := start(t, Behaviour{})
	id := run(t, api)
	if _, err := api.ContainerStop(t.Context(), id, client.ContainerStopOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := inspect(t, api, id).State; got.Running || got.ExitCode != 143 {
		t.Errorf("stopped, the state is %+v", got)
	}
	if _, err := api.ContainerKill(t.Context(), id, client.ContainerKillOptions{}); err == nil {
		t.Error("an ended container was killed")
	}
	for range 2 { // the second time nothing is left to do
		if _, err := api.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := fetch(t.Context(), address(t, api, id)); got != http.StatusOK {
		t.Errorf("started again, it answers %d", got)
	}
	if _, err := api.ContainerKill(t.Context(), id, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		t.Fatal(err)
	}
	if got := inspect(t, api, id).State.ExitCode; got != 137 {
		t.Errorf("killed, it ended with %d", got)
	}
	checkNoProblems(t, s)
}

func TestHostPort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, number, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, api := start(t, Behaviour{})
	pull(t, api, ref)
	id := create(t, api, network.PortBinding{HostPort: number})
	if _, err := api.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a port in use gives %v", err)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := api.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, want := address(t, api, id), "127.0.0.1:"+number; got != want || fetch(t.Context(), want) != http.StatusOK {
		t.Errorf("it is published at %s, want it to answer at %s", got, want)
	}
	checkNoProblems(t, s)
}

func TestList(t *testing.T) {
	t.Parallel()
	s, api := start(t, Behaviour{})
	id := run(t, api)
	idle := create(t, api, network.PortBinding{})
	for name, test := range map[string]struct {
		all    bool
		labels []string
		want   []string
	}{
		"running":       {false, nil, []string{id}},
		"all":           {true, nil, []string{id, idle}},
		"by label":      {true, []string{label}, []string{id, idle}},
		"by value":      {false, []string{label + "=1"}, []string{id}},
		"another value": {true, []string{label + "=2"}, nil},
		"two labels":    {true, []string{label, "other"}, nil},
	} {
		options := client.ContainerListOptions{All: test.all, Filters: client.Filters{}}
		if test.labels != nil {
			options.Filters.Add("label", test.labels...)
		}
		listed, err := api.ContainerList(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range listed.Items {
			got = append(got, c.ID)
		}
		slices.Sort(got)
		slices.Sort(test.want)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: listed %v, want %v", name, got, test.want)
		}
	}
	checkNoProblems(t, s)
}

func TestImages(t *testing.T) {
	t.Parallel()
	s, api := start(t, Behaviour{HealthCheck: true, Size: 42})
	s.Behave("org/gone", Behaviour{Missing: true}) // whatever the registry is
	if _, err := api.ImageInspect(t.Context(), ref); err == nil || !strings.Contains(err.Error(), "No such image") {
		t.Errorf("before the pull ImageInspect() = %v", err)
	}
	if _, err := api.ImagePull(t.Context(), "ghcr.io/org/gone:v1", client.ImagePullOptions{}); err == nil || !strings.Contains(err.Error(), "manifest unknown") {
		t.Errorf("pulling what is missing gives %v", err)
	}
	pull(t, api, ref)
	pull(t, api, "busybox")
	got, err := api.ImageInspect(t.Context(), ref)
	if err != nil || got.Size != 42 || got.Os != "linux" || got.Config.Healthcheck == nil || !slices.Equal(got.RepoDigests, []string{ref}) {
		t.Errorf("ImageInspect() = %+v, %v", got, err)
	}
	for _, name := range []string{"busybox", "busybox:latest", "docker.io/library/busybox"} {
		if got, err := api.ImageInspect(t.Context(), name); err != nil || got.Config.Healthcheck != nil || !slices.Equal(got.RepoTags, []string{"busybox:latest"}) {
			t.Errorf("ImageInspect(%s) = %+v, %v", name, got, err)
		}
	}
	if want := []string{ref, "busybox:latest"}; !slices.Equal(s.Pulled(), want) {
		t.Errorf("Pulled() = %v, want %v", s.Pulled(), want)
	}
	checkNoProblems(t, s)
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	s, api := start(t, Behaviour{})
	made, err := api.NetworkCreate(t.Context(), "own", client.NetworkCreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.NetworkCreate(t.Context(), "own", client.NetworkCreateOptions{}); err == nil {
		t.Error("a second network has the same name")
	}
	pull(t, api, ref)
	attach := func(name string) (string, error) {
		c, err := api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: "in-" + name, Image: ref, HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(name)}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = api.ContainerStart(t.Context(), c.ID, client.ContainerStartOptions{})
		return c.ID, err
	}
	if _, err := attach("none-such"); err == nil {
		t.Error("a container started in a network that does not exist")
	}
	id, err := attach("own")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := inspect(t, api, "in-own").NetworkSettings.Networks["own"]; !ok {
		t.Error("the container is not in its network")
	}
	if _, err := api.NetworkRemove(t.Context(), made.ID, client.NetworkRemoveOptions{}); err == nil {
		t.Error("a network in use was removed")
	}
	if _, err := api.ContainerRemove(t.Context(), id, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.NetworkRemove(t.Context(), "own", client.NetworkRemoveOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := api.NetworkRemove(t.Context(), "own", client.NetworkRemoveOptions{}); err == nil {
		t.Error("a network was removed twice")
	}
	checkNoProblems(t, s)
}

// A container joins further networks, where others find it under its aliases as long as it runs.
func TestJoining(t *testing.T) {
	t.Parallel()
	s, api := start(t, Behaviour{})
	ctx := t.Context()
	for name, labels := range map[string]map[string]string{"own": {label: "1"}, "other": nil} {
		if _, err := api.NetworkCreate(ctx, name, client.NetworkCreateOptions{Labels: labels}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := api.NetworkList(ctx, client.NetworkListOptions{Filters: client.Filters{}.Add("label", label)}); err != nil || len(got.Items) != 1 || got.Items[0].Name != "own" {
		t.Errorf("networks with the label: %+v, %v", got.Items, err)
	}
	id := run(t, api)
	join := func() error {
		_, err := api.NetworkConnect(ctx, "own", client.NetworkConnectOptions{Container: id, EndpointConfig: &network.EndpointSettings{Aliases: []string{"db"}}})
		return err
	}
	if err := join(); err != nil {
		t.Fatal(err)
	}
	if err := join(); err == nil {
		t.Error("a container joined a network twice")
	}
	if got, err := api.NetworkInspect(ctx, "own", client.NetworkInspectOptions{}); err != nil || got.Network.Containers[id].Name == "" {
		t.Errorf("in the network are %+v, %v", got.Network.Containers, err)
	}
	s.Behave("needs", Behaviour{Needs: "db"})
	pull(t, api, "needs:1")
	for name, runs := range map[string]bool{"own": true, "other": false} {
		c, err := api.ContainerCreate(ctx, client.ContainerCreateOptions{Image: "needs:1", HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(name)}})
		if err == nil {
			_, err = api.ContainerStart(ctx, c.ID, client.ContainerStartOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
		if runs {
			time.Sleep(moment)
			if !inspect(t, api, c.ID).State.Running {
				t.Error("the name was not found in the network")
			}
			continue
		}
		eventually(t, "running without the name", false, func() bool { return inspect(t, api, c.ID).State.Running })
	}
	for i, refused := range []bool{false, true} {
		if _, err := api.NetworkDisconnect(ctx, "own", client.NetworkDisconnectOptions{Container: id}); (err != nil) != refused {
			t.Errorf("leaving the network, %d: %v", i, err)
		}
	}
	checkNoProblems(t, s)
}

func TestExec(t *testing.T) {
	t.Parallel()
	s, api := start(t, Behaviour{Exec: func(argv []string) (int, string) { return len(argv), strings.Join(argv, " ") + "\n" }})
	id := run(t, api)
	made, err := api.ExecCreate(t.Context(), id, client.ExecCreateOptions{Cmd: []string{"cat", "/etc/passwd"}, AttachStdout: true})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := api.ExecAttach(t.Context(), made.ID, client.ExecAttachOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, io.Discard, stream.Reader); err != nil || out.String() != "cat /etc/passwd\n" {
		t.Errorf("the output is %q, %v", out.String(), err)
	}
	if got, err := api.ExecInspect(t.Context(), made.ID, client.ExecInspectOptions{}); err != nil || got.ExitCode != 2 || got.Running || got.ContainerID != id {
		t.Errorf("ExecInspect() = %+v, %v", got, err)
	}
	checkNoProblems(t, s)
}

// What does not exist is an answer, not a problem.
func TestNothingThere(t *testing.T) {
	t.Parallel()
	s, api := start(t, Behaviour{})
	ctx, id := t.Context(), "abcdefabcdef"
	for name, do := range map[string]func() error{
		"create": func() error {
			_, err := api.ContainerCreate(ctx, client.ContainerCreateOptions{Image: ref})
			return err
		},
		"start":   func() error { _, err := api.ContainerStart(ctx, id, client.ContainerStartOptions{}); return err },
		"stop":    func() error { _, err := api.ContainerStop(ctx, id, client.ContainerStopOptions{}); return err },
		"kill":    func() error { _, err := api.ContainerKill(ctx, id, client.ContainerKillOptions{}); return err },
		"remove":  func() error { _, err := api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{}); return err },
		"inspect": func() error { _, err := api.ContainerInspect(ctx, id, client.ContainerInspectOptions{}); return err },
		"stats":   func() error { _, err := api.ContainerStats(ctx, id, client.ContainerStatsOptions{}); return err },
		"logs":    func() error { _, err := api.ContainerLogs(ctx, id, client.ContainerLogsOptions{}); return err },
		"wait":    func() error { return <-api.ContainerWait(ctx, id, client.ContainerWaitOptions{}).Error },
		"exec":    func() error { _, err := api.ExecCreate(ctx, id, client.ExecCreateOptions{}); return err },
		"running": func() error { _, err := api.ExecInspect(ctx, id, client.ExecInspectOptions{}); return err },
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), "No such") {
			t.Errorf("%s: %v, want nothing there", name, err)
		}
	}
	checkNoProblems(t, s)
}

func TestProblems(t *testing.T) {
	t.Parallel()
	ok := `{"Image":"x"}`
	for name, test := range map[string]struct {
		method, path, kind, body string
		status                   int
	}{
		"unknown route":    {"GET", "/v1.41/swarm", "", "", 404},
		"unknown method":   {"PUT", "/v1.41/containers/create", "", "", 404},
		"too new":          {"GET", "/v1.42/version", "", "", 400},
		"no JSON type":     {"POST", "/containers/create", "text/plain", ok, 400},
		"no JSON":          {"POST", "/containers/create", "application/json", "{", 400},
		"no image":         {"POST", "/containers/create", "application/json", "{}", 400},
		"network's name":   {"POST", "/networks/create", "application/json", "{}", 400},
		"nothing to pull":  {"POST", "/images/create", "", "", 400},
		"wrong digest":     {"POST", "/images/create?fromImage=x&tag=sha256:12", "", "", 400},
		"image's history":  {"GET", "/images/x/history", "", "", 400},
		"filters":          {"GET", "/containers/json?filters=x", "", "", 400},
		"network filters":  {"GET", "/networks?filters=x", "", "", 400},
		"whom to connect":  {"POST", "/networks/n/connect", "application/json", "{", 400},
		"unknown filter":   {"GET", `/containers/json?filters={"status":{"exited":true}}`, "", "", 400},
		"streamed samples": {"GET", "/containers/c/stats", "", "", 400},
		"no stream":        {"GET", "/containers/c/logs", "", "", 400},
		"followed logs":    {"GET", "/containers/c/logs?stdout=1&follow=1", "", "", 400},
		"other condition":  {"POST", "/containers/c/wait?condition=removed", "", "", 400},
		"odd signal":       {"POST", "/containers/c/kill?signal=SIGWINCH", "", "", 400},
		"no command":       {"POST", "/containers/c/exec", "application/json", "{}", 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, api := start(t, Behaviour{})
			pull(t, api, ref)
			if _, err := api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: "c", Image: ref}); err != nil {
				t.Fatal(err)
			}
			if _, err := api.ContainerStart(t.Context(), "c", client.ContainerStartOptions{}); err != nil {
				t.Fatal(err)
			}
			got := request(t, test.method, strings.Replace(s.Host(), "tcp", "http", 1)+test.path, test.kind, test.body)
			if problems := s.Problems(); got != test.status || len(problems) != 1 {
				t.Errorf("the answer is %d and Problems() = %q, want %d and one", got, problems, test.status)
			}
		})
	}
}

func request(t *testing.T, method, url, kind, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	return got.StatusCode
}

// Many may use one engine at once, as scans of several services do.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s, api := start(t, Behaviour{Delay: time.Millisecond, HealthCheck: true})
	pull(t, api, ref)
	for range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			id := create(t, api, network.PortBinding{})
			for range 3 {
				if _, err := api.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err != nil {
					t.Error(err)
				}
				at := address(t, api, id)
				eventually(t, "the port's answer", http.StatusOK, func() int { return fetch(t.Context(), at) })
				if _, err := api.ContainerList(t.Context(), client.ContainerListOptions{All: true}); err != nil {
					t.Error(err)
				}
				if _, err := api.ContainerStop(t.Context(), id, client.ContainerStopOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	t.Cleanup(func() { checkNoProblems(t, s) })
}
