package verdict

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/org/ghcr-publish/internal/service"
)

func TestUnmet(t *testing.T) {
	t.Parallel()
	config := v1.Config{User: "app", WorkingDir: "/app", Entrypoint: []string{"/server"}, Env: []string{"MODE=fast", "KEY=secret"}, Labels: map[string]string{"a": "b"},
		ExposedPorts: map[string]struct{}{"80/tcp": {}}}
	met := service.Expectation{User: "app", Workdir: "/app", Entrypoint: []string{"/server"}, Env: map[string]string{"MODE": "fast"}, Labels: map[string]string{"a": "b"}, Ports: []int{80}}
	for _, e := range []service.Expectation{{}, met} {
		if got := Unmet(e, config); got != nil {
			t.Errorf("%+v: %q", e, got)
		}
	}
	got := Unmet(service.Expectation{User: "root", Workdir: "/", Entrypoint: []string{"sh"}, Cmd: []string{"x"}, Env: map[string]string{"KEY": "other", "MODE": "slow"}, Labels: map[string]string{"a": "c"}, Ports: []int{81}}, config)
	want := []string{`its user is "app", not "root"`, `its WORKDIR is "/app", not "/"`, `its ENTRYPOINT is ["/server"], not ["sh"]`, `its CMD is [], not ["x"]`,
		"it does not expose port 81", `its label a is "b", not "c"`, "its environment has no KEY=other", "its environment has no MODE=slow"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
