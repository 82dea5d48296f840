package mcp

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/memory"
)

// talk connects the official client to a server of a memory that knows two builds of a service.
func talk(t *testing.T) *mcp.ClientSession {
	t.Helper()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "memory.db")
	with := func(ctx context.Context, do func(*memory.Store) error) error {
		store, err := memory.Open(ctx, path, time.Now)
		if err != nil {
			return err
		}
		defer store.Close()
		return do(store)
	}
	if err := with(ctx, func(store *memory.Store) error {
		for i, seconds := range []float64{10, 25} {
			run := insight.Run{ID: string(rune('1'+i)) + "-1", EndedAt: time.Unix(int64(i), 0), Services: []insight.Service{{Name: "backend", Action: "build", Success: true,
				Seconds: map[string]float64{"build": seconds}, Account: insight.Account{Steps: []insight.Step{{Name: "RUN npm ci", Seconds: seconds - 1}}}}}}
			entries, err := insight.Entries(run)
			if err != nil {
				return err
			}
			if err := store.Put(ctx, entries...); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ours, theirs := mcp.NewInMemoryTransports()
	served, err := Server{Version: "v0", Read: with, Write: with}.server().Connect(ctx, ours, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(ctx, theirs, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(); _ = served.Wait() })
	return client
}

// call calls a tool and returns its text.
func call(t *testing.T, client *mcp.ClientSession, tool string, args map[string]any) (text string, failed bool) {
	t.Helper()
	result, err := client.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		return err.Error(), true
	}
	for _, c := range result.Content {
		text += c.(*mcp.TextContent).Text
	}
	return text, result.IsError
}

type args = map[string]any

// calls are made in this order.
var calls = []struct {
	tool string
	args args
	want string
}{
	{"memory_store", args{"key": "k", "namespace": "n", "value": args{"a": []int{1}}}, `{"stored":true}`},
	{"memory_store", args{"key": "k", "namespace": "n", "value": "words to find", "ttl_seconds": 60}, `{"stored":true}`},
	{"memory_retrieve", args{"key": "k", "namespace": "n"}, `"value":"words to find"`},
	{"memory_retrieve", args{"key": "k", "namespace": "n"}, `"value":{"a":[1]}`}, // as it was
	{"memory_retrieve", args{"key": "none"}, `{"found":false}`},
	{"memory_list", args{"namespace": "n"}, `"key":"k"`},
	{"memory_list", args{"namespace": "n", "prefix": "x"}, `{"entries":[]}`},
	{"memory_search", args{"text": "find words"}, `"namespace":"n"`},
	{"memory_search", args{"text": "find words", "offset": 1}, `{"entries":[]}`},
	{"memory_stats", nil, `"memory_stats":{"total_entries":7,"namespaces":4,`},
	{"service_insights", args{"service": "backend"}, `"expected_seconds":17.5`},
	{"service_insights", nil, `"service":"backend","runs":2`},
	{"why_slow", args{"service": "backend"}, `The last build of backend took 25s, 2.5 times its usual 10s (1 builds before).`},
}

func TestEveryToolIsListedAndAnswers(t *testing.T) {
	t.Parallel()
	client := talk(t)
	listed, err := client.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range listed.Tools {
		if tool.Description == "" || tool.InputSchema == nil {
			t.Errorf("%s does not say what it does, or takes", tool.Name)
		}
		called := false
		for _, c := range calls {
			called = called || c.tool == tool.Name
		}
		if !called {
			t.Errorf("%s is not called by this test", tool.Name)
		}
	}
	for _, c := range calls {
		if !slices.ContainsFunc(listed.Tools, func(tool *mcp.Tool) bool { return tool.Name == c.tool }) {
			t.Errorf("%s is not listed", c.tool)
		}
		if got, failed := call(t, client, c.tool, c.args); failed || !strings.Contains(got, c.want) {
			t.Errorf("%s %v: failed %v, %s\nwant %s", c.tool, c.args, failed, got, c.want)
		}
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	t.Parallel()
	client := talk(t)
	for _, c := range []struct {
		tool string
		args args
		want string
	}{
		{"memory_store", args{"key": "k"}, "value"},
		{"memory_store", args{"value": 1}, "key"},
		{"memory_store", args{"key": "", "value": 1}, "the key is empty"},
		{"memory_store", args{"key": "k", "value": args{"__type__": "__Date__"}}, "reserved key"},
		{"memory_store", args{"key": "k", "value": 1, "ttl_seconds": -1}, "ttl_seconds is -1"},
		{"memory_store", args{"key": "k", "value": 1, "ttl_seconds": int64(1) << 60}, "ttl_seconds"},
		{"memory_store", args{"key": "k", "value": 1, "path": "/etc/passwd"}, "path"},
		{"memory_retrieve", args{"key": 7}, "key"},
		{"memory_list", args{"limit": -1}, "may not be negative"},
		{"memory_search", args{"text": ""}, "text is empty"},
		{"why_slow", args{"service": "nobody's"}, `no build of "nobody's" is known; those of these services are: ["backend"]`},
		{"memory_forget", nil, "unknown tool"},
	} {
		if got, failed := call(t, client, c.tool, c.args); !failed || !strings.Contains(got, c.want) {
			t.Errorf("%s %v: failed %v, %s", c.tool, c.args, failed, got)
		}
	}
	if got, _ := call(t, client, "memory_retrieve", args{"key": "k"}); got != `{"found":false}` {
		t.Errorf("something was stored: %s", got)
	}
}

// Numbers and texts come back digit for digit, and letter for letter.
func TestValuesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	client := talk(t)
	for _, c := range []struct {
		value any
		want  string
	}{
		{uint64(9007199254740993), `"value":9007199254740993,`},
		{"ünï\n::error::x", `"value":"ünï\n::error::x",`},
		{[]any{nil, true}, `"value":[null,true],`},
		{"", `"value":"",`},
	} {
		if got, failed := call(t, client, "memory_store", args{"key": "k", "value": c.value}); failed {
			t.Fatalf("%v: %s", c.value, got)
		}
		if got, _ := call(t, client, "memory_retrieve", args{"key": "k"}); !strings.Contains(got, c.want) {
			t.Errorf("%v came back as %s", c.value, got)
		}
	}
}
