package action_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rogpeppe/go-internal/testscript"
)

// ask TOOL ARGUMENTS TEXT: an AI agent starts `memory serve` and calls a tool, whose answer has TEXT in it. With ! the tool refuses, and says TEXT.
func askServer(ts *testscript.TestScript, neg bool, args []string) {
	ctx := context.Background()
	var given map[string]any
	ts.Check(json.Unmarshal([]byte(args[1]), &given))
	client := mcp.NewClient(&mcp.Implementation{Name: "script"}, nil)
	session, err := client.Connect(ctx, &mcp.CommandTransport{Command: server(ts)}, nil)
	ts.Check(err)
	answer, err := session.CallTool(ctx, &mcp.CallToolParams{Name: args[0], Arguments: given})
	ts.Check(err)
	ts.Check(session.Close())
	text := answer.Content[0].(*mcp.TextContent).Text
	if answer.IsError != neg || !strings.Contains(text, args[2]) {
		ts.Fatalf("%s answered, refusing %v: %s", args[0], answer.IsError, text)
	}
}

// server is `ghcr-publish memory serve` as the script would start it.
func server(ts *testscript.TestScript) *exec.Cmd {
	program := ""
	for _, folder := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(folder, "ghcr-publish"); program == "" && exists(path) {
			program = path
		}
	}
	command := exec.Command(program, "memory", "serve")
	command.Dir, command.Stderr = ts.MkAbs("."), os.Stderr
	for _, name := range []string{"PATH", "HOME", "GITHUB_ACTIONS", "GITHUB_WORKSPACE", "GITHUB_RUN_ID"} {
		command.Env = append(command.Env, name+"="+ts.Getenv(name))
	}
	return command
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// comes FILE TEXT...: another process writes each TEXT into the file, sooner or later.
func waitForText(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		data, _ := os.ReadFile(ts.MkAbs(args[0])) // which may not be there yet
		missing := slices.DeleteFunc(slices.Clone(args[1:]), func(text string) bool { return strings.Contains(string(data), text) })
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not have %q:\n%s", args[0], missing, data)
		}
	}
}
