package action_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// digest NAME SERVICE TAG: $NAME is the digest under the tag.
func readDigest(ts *testscript.TestScript, _ bool, args []string) {
	at := stageOf(ts).tag(args[1], args[2])
	if at == "" {
		ts.Fatalf("%s has no tag %s", args[1], args[2])
	}
	ts.Setenv(args[0], at)
}

// is SERVICE TAG DIGEST: the tag points there.
func checkDigest(ts *testscript.TestScript, _ bool, args []string) {
	if at := stageOf(ts).tag(args[0], args[1]); at != args[2] {
		ts.Fatalf("%s:%s is %q, want %q", args[0], args[1], at, args[2])
	}
}

// same SERVICE TAG OTHER: two tags point to the same image.
func checkSame(ts *testscript.TestScript, _ bool, args []string) {
	if at, other := stageOf(ts).tag(args[0], args[1]), stageOf(ts).tag(args[0], args[2]); at == "" || at != other {
		ts.Fatalf("%s:%s is %q, and %s is %q", args[0], args[1], at, args[2], other)
	}
}

// deployments ENVIRONMENT:STATE...: GitHub lists these, in order.
func checkDeployments(ts *testscript.TestScript, _ bool, args []string) {
	var got []string
	for _, d := range stageOf(ts).github.Deployments() {
		got = append(got, d.Environment+":"+strings.Join(d.States, ","))
		if len(d.Ref) != 40 || !strings.Contains(string(d.Payload), "sha256:") {
			ts.Fatalf("deployment of %q: %s", d.Ref, d.Payload)
		}
	}
	if !slices.Equal(got, args) {
		ts.Fatalf("deployments %q, want %q", got, args)
	}
}

// recorded SERVICE DIGEST: the newest deployment that GitHub lists says that the service runs this.
func checkRecorded(ts *testscript.TestScript, _ bool, args []string) {
	all := stageOf(ts).github.Deployments()
	var payload struct{ Images map[string]string }
	ts.Check(json.Unmarshal(all[len(all)-1].Payload, &payload))
	if got := payload.Images[args[0]]; !strings.HasSuffix(got, "@"+args[1]) {
		ts.Fatalf("%s is %q, want %s", args[0], got, args[1])
	}
}

// deployments-elsewhere N: GitHub lists so many more, of other environments.
func addDeployments(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	stageOf(ts).github.AddDeployments(n)
}

// deployments-withheld: the token may record none.
func withholdDeployments(ts *testscript.TestScript, _ bool, _ []string) {
	stageOf(ts).github.WithholdDeployments()
}
