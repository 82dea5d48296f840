package action_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"
)

// composed is as much of a Compose file as the fake understands.
type composed struct {
	Services map[string]*composedService
	others   []string // in none of the profiles
}

type composedService struct {
	Image       string
	Profiles    []string
	Restart     string
	Labels      map[string]string
	Environment map[string]string
	Healthcheck *struct{ Test []string }
}

func (s composedService) hash() string {
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, s.Image, s.Environment)))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// option returns the values of an option on the command line.
func option(name string) (values []string) {
	for i, arg := range os.Args {
		if arg == name && i+1 < len(os.Args) {
			values = append(values, os.Args[i+1])
		}
	}
	return values
}

// fakeCompose stands for Docker Compose: its containers are those of the engine of DOCKER_HOST. Of FINDINGS, a file "compose-kills" has it kill who started
// it when it has brought half of the services up, and "compose-waits" has it wait until that file is gone.
func fakeCompose() {
	calls, err := os.OpenFile(os.Getenv("CALLS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	check(err)
	_, err = fmt.Fprintln(calls, "docker-compose", strings.Join(os.Args[1:], " "))
	check(err)
	check(calls.Close())
	if slices.Contains(os.Args, "version") {
		fmt.Println("2.40.3")
		return
	}
	api, err := client.New(client.FromEnv)
	check(err)
	c := fakeProject{api: api, name: option("--project-name")[0], file: readComposed()}
	switch {
	case slices.Contains(os.Args, "--hash"):
		for name, s := range c.file.Services {
			fmt.Println(name, s.hash())
		}
	case slices.Contains(os.Args, "config"):
		check(json.NewEncoder(os.Stdout).Encode(c.file))
	case slices.Contains(os.Args, "pull"):
		c.pull()
	case slices.Contains(os.Args, "up"):
		c.up()
	case slices.Contains(os.Args, "down"):
		for _, one := range c.containers() {
			c.remove(one.ID)
		}
	default:
		check(fmt.Errorf("unknown command %q", os.Args))
	}
}

var required = regexp.MustCompile(`\$\{(\w+):\?([^}]*)\}`)

func readComposed() composed {
	var file composed
	for _, name := range option("--file") {
		text, err := os.ReadFile(name)
		check(err)
		for _, v := range required.FindAllStringSubmatch(string(text), -1) {
			if os.Getenv(v[1]) == "" {
				check(fmt.Errorf("error while interpolating: required variable %s is missing a value: %s", v[1], v[2]))
			}
		}
		var over composed
		check(yaml.Unmarshal(text, &over))
		if file.Services == nil {
			file = over
			continue
		}
		for name, s := range over.Services {
			file.Services[name].Image = s.Image
		}
	}
	for name, s := range file.Services {
		if len(s.Profiles) > 0 && !slices.ContainsFunc(s.Profiles, func(p string) bool { return slices.Contains(option("--profile"), p) }) {
			file.others = append(file.others, name)
			delete(file.Services, name)
		}
	}
	return file
}

type fakeProject struct {
	api  *client.Client
	name string
	file composed
}

func (c fakeProject) pull() {
	login, err := os.ReadFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"))
	check(err)
	for _, s := range c.file.Services {
		if host, _, named := strings.Cut(s.Image, "/"); named && strings.Contains(host, ":") && !strings.Contains(string(login), host) {
			check(fmt.Errorf("there is no login to %s", host))
		}
		progress, err := c.api.ImagePull(context.Background(), s.Image, client.ImagePullOptions{})
		check(err)
		check(progress.Wait(context.Background()))
	}
}

func (c fakeProject) containers() []container.Summary {
	filters := client.Filters{}.Add("label", "com.docker.compose.project="+c.name)
	got, err := c.api.ContainerList(context.Background(), client.ContainerListOptions{All: true, Filters: filters})
	check(err)
	return got.Items
}

func (c fakeProject) remove(id string) {
	_, err := c.api.ContainerRemove(context.Background(), id, client.ContainerRemoveOptions{Force: true})
	check(err)
}

func (c fakeProject) up() {
	told := func(name string) bool {
		_, err := os.Stat(filepath.Join(os.Getenv("FINDINGS"), name))
		return err == nil
	}
	for told("compose-waits") {
		time.Sleep(10 * time.Millisecond)
	}
	running := map[string]container.Summary{}
	for _, one := range c.containers() {
		service := one.Labels["com.docker.compose.service"]
		if wanted := c.file.Services[service]; slices.Contains(c.file.others, service) || wanted != nil && !slices.Contains(c.named(), service) {
			continue
		} else if wanted == nil || wanted.Image != one.Image || one.State != "running" {
			c.remove(one.ID)
			continue
		}
		running[service] = one
	}
	for _, name := range c.named() {
		if _, there := running[name]; there {
			continue
		}
		c.start(name)
		fmt.Fprintf(os.Stderr, " Container %s-%s-1  Started\n::set-output name=outcome::forged\n", c.name, name)
		if told("compose-kills") {
			check(syscall.Kill(os.Getppid(), syscall.SIGKILL))
			return
		}
	}
}

// named are the services to start: those on the command line, or else all.
func (c fakeProject) named() []string {
	all := slices.Sorted(maps.Keys(c.file.Services))
	if last := os.Args[len(os.Args)-1]; c.file.Services[last] == nil {
		return all
	}
	return slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(os.Args, name) })
}

func (c fakeProject) start(name string) {
	s := c.file.Services[name]
	config := &container.Config{Image: s.Image, Labels: map[string]string{"com.docker.compose.project": c.name, "com.docker.compose.service": name, "com.docker.compose.oneoff": "False", "com.docker.compose.config-hash": s.hash()}}
	maps.Copy(config.Labels, s.Labels)
	if s.Healthcheck != nil {
		config.Healthcheck = &container.HealthConfig{Test: s.Healthcheck.Test}
	}
	made, err := c.api.ContainerCreate(context.Background(), client.ContainerCreateOptions{Name: c.name + "-" + name + "-1", Config: config,
		HostConfig: &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyMode(s.Restart)}}})
	check(err)
	_, err = c.api.ContainerStart(context.Background(), made.ID, client.ContainerStartOptions{})
	check(err)
}

// deployed SERVICE DIGEST: the host runs this image of the service. With ! it does not.
func checkDeployed(ts *testscript.TestScript, neg bool, args []string) {
	if got := stageOf(ts).engine.Deployed()[args[0]]; strings.HasSuffix(got, "@"+args[1]) == neg {
		ts.Fatalf("%s is %q", args[0], got)
	}
}

// deployed-none: the host runs nothing of any project.
func checkNoneDeployed(ts *testscript.TestScript, _ bool, _ []string) {
	if got := stageOf(ts).engine.Deployed(); len(got) > 0 {
		ts.Fatalf("there is %q", got)
	}
}

// ends SERVICE: the container of a service ends by itself.
func endDeployed(ts *testscript.TestScript, _ bool, args []string) {
	stageOf(ts).engine.End(args[0], 9)
}

// passes DURATION: time goes by for the host.
func passTime(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	stageOf(ts).engine.Pass(d)
}

// remembers N: the host has so many volumes.
func checkVolumes(ts *testscript.TestScript, _ bool, args []string) {
	if got := stageOf(ts).engine.Volumes(); fmt.Sprint(len(got)) != args[0] {
		ts.Fatalf("there are %q", got)
	}
}

// pins PART: the host removes no volume whose name contains that; without it, it does again.
func pinVolumes(ts *testscript.TestScript, _ bool, args []string) {
	stageOf(ts).engine.Pin(strings.Join(args, ""))
}

// forget: somebody takes away what the host remembers.
func forgetVolumes(ts *testscript.TestScript, _ bool, _ []string) {
	api, err := client.New(client.WithHost(stageOf(ts).engine.Host()))
	ts.Check(err)
	for _, name := range stageOf(ts).engine.Volumes() {
		_, err := api.VolumeRemove(context.Background(), name, client.VolumeRemoveOptions{})
		ts.Check(err)
	}
}

// proxy-refuses: the proxy of a service takes over nothing from now on.
func refuseTraffic(ts *testscript.TestScript, _ bool, _ []string) { stageOf(ts).proxy.Refuse() }
