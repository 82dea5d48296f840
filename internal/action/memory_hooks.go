package action

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/agent"
	"github.com/org/ghcr-publish/internal/mcp"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/service"
)

// hookCommands are the hooks of the swarm's tool, by its names.
func hookCommands() []memoryCommand {
	text := func(name, value, help string) memoryFlag { return memoryFlag{name: name, value: value, help: help} }
	hook := func(name, help string, run func(context.Context, memoryCall, *agent.Agent) error, flags ...memoryFlag) memoryCommand {
		return memoryCommand{words: "hook " + name, help: help, run: hooked(run), flags: append(flags,
			text("agent-id", "NAME", "Who calls the hook."), text("session-id", "ID", "The session; by default the run's, or the one that was begun last."))}
	}
	task := text("task-id", "ID", "The task.")
	return []memoryCommand{
		{words: "watch", args: []memoryArg{{name: "NAMESPACE", optional: true}}, run: watchMemory,
			help: "Print what is in a namespace, by default what agents leave for one another (coordination), and what comes, until it is interrupted."},
		{words: "serve", run: serveMemory, help: "Answer AI agents on standard input and output, by the Model Context Protocol."},
		hook("pre-task", "Write down that a task begins; print what is known that matters to it.", hookPreTask, task,
			text("description", "TEXT", "What is to be done; services that it names are told of."), text("service", "NAME", "The service that it is about.")),
		hook("post-edit", "Write down that a file was edited, and what was learnt by it.", hookPostEdit,
			text("file", "PATH", "The file."), text("memory-key", "KEY", "Key in namespace coordination under which others find the insight."),
			text("insight", "VALUE", "The insight, as JSON or text."), memoryFlag{name: "update-memory", help: "Keep it under the edit's own id, too."}),
		hook("post-task", "Write down that a task is done; print how long it took.", hookPostTask, task),
		hook("session-start", "Begin a session.", hookSessionStart),
		hook("session-end", "End the session: count what it did, and keep its state.", hookSessionEnd,
			memoryFlag{name: "export-metrics", help: "Keep the figures by themselves, too."}),
		hook("session-restore", "Go on with a session, the last by default; print what it left.", hookSessionRestore),
		hook("notify", "Leave a notice for everybody.", hookNotify, text("message", "TEXT", "What to say."),
			memoryFlag{name: "level", value: "LEVEL", fallback: "info", check: oneOf("info", "success", "warning", "error"), help: "info, success, warning or error."},
			text("to", "NAME", "Leave it as a message for this agent, too.")),
	}
}

// hooked gives a hook its agent. What is wrong with the memory is a warning, and fails nothing: a hook is a courtesy to later work. A file that
// cannot be used is set aside.
func hooked(run func(context.Context, memoryCall, *agent.Agent) error) func(context.Context, memoryCall) error {
	return func(ctx context.Context, c memoryCall) error {
		err := c.asAgent(ctx, run)
		var wrong service.Problems
		if err == nil || errors.As(err, &wrong) || errors.Is(err, agent.ErrNoSession) && c.values["session-id"] != "" {
			return err
		}
		c.log.Warning(actions.Annotation{Title: "Memory", Message: err.Error()})
		return nil
	}
}

func (c memoryCall) asAgent(ctx context.Context, run func(context.Context, memoryCall, *agent.Agent) error) (err error) {
	notice := ""
	store, err := c.open(ctx)
	if err != nil {
		store, notice, err = memory.OpenOrSetAside(ctx, c.now(), c.process.Now, c.secrets())
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if notice != "" {
		c.log.Warning(actions.Annotation{Title: "Memory", Message: notice})
	}
	a := &agent.Agent{Store: store, Name: cmp.Or(c.values["agent-id"], c.event.Actor, "agent"), Session: c.values["session-id"], Repository: c.event.Repository, Now: c.process.Now}
	if a.Session == "" && c.event.RunID != "" {
		a.Session = runID(c.event, c.process.Now())
	}
	return run(ctx, c, a)
}

// needs notes which flags are missing.
func (c memoryCall) needs(flags ...string) error {
	var problems service.Problems
	for _, flag := range flags {
		if c.values[flag] == "" {
			problems.Add("--"+flag, "", "it is missing")
		}
	}
	return problems.Err()
}

func hookPreTask(ctx context.Context, c memoryCall, a *agent.Agent) error {
	if err := c.needs("description"); err != nil {
		return err
	}
	if err := a.Join(ctx); err != nil {
		return err
	}
	task := agent.Task{ID: c.values["task-id"], Description: c.values["description"]}
	if name := c.values["service"]; name != "" {
		task.Services = []string{name}
	}
	told, err := a.PreTask(ctx, task)
	if err != nil {
		return err
	}
	return c.print(told, func(log *actions.Log) {
		log.Printf("task %s began in session %s", told.TaskID, a.Session)
		tellLines(log, told.Lines(), "the memory knows nothing that matters to it")
	})
}

// tellLines prints lines, or what to say where there are none.
func tellLines(log *actions.Log, lines []string, none string) {
	if len(lines) == 0 {
		log.Printf("%s", none)
	}
	for _, line := range lines {
		log.Printf("%s", line)
	}
}

func hookPostEdit(ctx context.Context, c memoryCall, a *agent.Agent) error {
	if err := c.needs("file"); err != nil {
		return err
	}
	if err := a.Join(ctx); err != nil {
		return err
	}
	edit := agent.Edit{File: c.values["file"], Key: c.values["memory-key"], Context: c.on("update-memory")}
	if insight := c.values["insight"]; insight != "" {
		edit.Insight = readValue(insight)
	}
	id, err := a.PostEdit(ctx, edit)
	if err != nil {
		return err
	}
	return c.print(map[string]string{"editId": id}, func(log *actions.Log) { log.Printf("kept edit %s of %s", id, edit.File) })
}

func hookPostTask(ctx context.Context, c memoryCall, a *agent.Agent) error {
	if err := c.needs("task-id"); err != nil {
		return err
	}
	if err := a.Join(ctx); err != nil {
		return err
	}
	took, err := a.PostTask(ctx, c.values["task-id"])
	if err != nil {
		return err
	}
	return c.print(map[string]any{"taskId": c.values["task-id"], "duration": took.Milliseconds()}, func(log *actions.Log) {
		if took == 0 {
			log.Printf("task %s is done; nobody wrote down when it began", c.values["task-id"])
			return
		}
		log.Printf("task %s took %s", c.values["task-id"], took.Round(time.Millisecond))
	})
}

func hookSessionStart(ctx context.Context, c memoryCall, a *agent.Agent) error {
	if err := a.SessionStart(ctx); err != nil {
		return err
	}
	return c.print(map[string]string{"sessionId": a.Session}, func(log *actions.Log) { log.Printf("session %s began", a.Session) })
}

func hookSessionEnd(ctx context.Context, c memoryCall, a *agent.Agent) error {
	if err := a.Join(ctx); err != nil {
		return err
	}
	s, err := a.SessionEnd(ctx, c.on("export-metrics"))
	if err != nil {
		return err
	}
	return c.print(s, func(log *actions.Log) {
		log.Printf("session %s ended: %d tasks, %d edits, %d commands, %d agents", s.ID, s.Tasks, s.Edits, s.Commands, s.Agents)
	})
}

func hookSessionRestore(ctx context.Context, c memoryCall, a *agent.Agent) error {
	r, err := a.SessionRestore(ctx, c.values["session-id"])
	if errors.Is(err, agent.ErrNoSession) && c.values["session-id"] == "" {
		return c.print(map[string]any{"session": nil}, func(log *actions.Log) { log.Printf("no session has ended yet") })
	}
	if err != nil {
		return err
	}
	return c.print(r, func(log *actions.Log) { tellLines(log, r.Lines(), "") })
}

// watching is how often a watcher looks.
const watching = 500 * time.Millisecond

func watchMemory(ctx context.Context, c memoryCall) error {
	w := agent.Watcher{Read: c.reading, Namespace: cmp.Or(c.arg(0), agent.Coordination), Every: watching}
	var failed error
	err := w.Watch(ctx, func(e memory.Entry) {
		data, err := json.Marshal(viewOf(e))
		failed = errors.Join(failed, err)
		if c.on("json") {
			_, err = fmt.Fprintf(c.process.Stdout, "%s\n", actions.HarmlessJSON(data))
			failed = errors.Join(failed, err)
			return
		}
		c.log.Printf("%s  %s  %s", e.UpdatedAt.Format(time.TimeOnly), e.Key, plainText(e.Value))
	})
	return errors.Join(err, failed)
}

// serveMemory prints nothing: standard output is the protocol's alone.
func serveMemory(ctx context.Context, c memoryCall) error {
	kept := &keptOpen{call: c, open: c.open}
	err := mcp.Server{Version: c.process.Version, Repository: c.event.Repository, Read: kept.reading, Write: kept.use}.Serve(ctx)
	return errors.Join(err, kept.close())
}

func hookNotify(ctx context.Context, c memoryCall, a *agent.Agent) error {
	if err := c.needs("message"); err != nil {
		return err
	}
	if err := a.Join(ctx); err != nil {
		return err
	}
	if err := a.Notify(ctx, agent.Notice{Message: c.values["message"], Level: c.values["level"], To: c.values["to"]}); err != nil {
		return err
	}
	return c.print(map[string]string{"message": c.values["message"]}, func(log *actions.Log) { log.Printf("%s: %s", c.values["level"], c.values["message"]) })
}
