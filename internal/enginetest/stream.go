package enginetest

import (
	"encoding/binary"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/common"
	"github.com/moby/moby/api/types/container"
)

// sampled has an answer wait as long as the container's sampling takes.
func (s *Server) sampled(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		c, err := s.container(r.PathValue("id"))
		s.mu.Unlock()
		if err == nil {
			select {
			case <-time.After(c.behaviour.Sampling):
			case <-r.Context().Done():
			}
		}
		next(w, r)
	}
}

// stats answers with one sample; a stream of them is not served.
func (s *Server) stats(r *http.Request) (answer, error) {
	c, err := s.container(r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	if r.URL.Query().Get("stream") != "false" {
		return answer{}, malform("this engine sends single samples only: stream=false is required")
	}
	sample := container.StatsResponse{ID: c.id, Name: "/" + c.name, OSType: "linux"}
	if !c.running {
		return answer{http.StatusOK, sample}, nil
	}
	sample.Read = time.Now().UTC()
	sample.MemoryStats = container.MemoryStats{
		Usage: orDefault(c.behaviour.Memory, 8<<20),
		Limit: orDefault(uint64(max(c.host.Memory, 0)), 16<<30),
		Stats: map[string]uint64{"inactive_file": 0},
	}
	sample.CPUStats = container.CPUStats{
		CPUUsage:   container.CPUUsage{TotalUsage: uint64(orDefault(c.behaviour.CPU, 5*time.Millisecond))},
		OnlineCPUs: uint32(runtime.NumCPU()),
	}
	sample.PidsStats.Current = 1
	return answer{http.StatusOK, sample}, nil
}

// A line of a log, and the stream it went to.
type line struct {
	stream stdcopy.StdType
	text   string
}

func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	c, err := s.container(r.PathValue("id"))
	var lines []line
	if err == nil {
		lines, err = c.log(r)
	}
	s.mu.Unlock()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/vnd.docker.raw-stream")
	for _, l := range lines {
		writeFrame(w, l.stream, l.text)
	}
}

// log returns the lines a request asks for; what is not yet written cannot be asked for.
func (c *instance) log(r *http.Request) ([]line, error) {
	if !isTrue(r, "stdout") && !isTrue(r, "stderr") {
		return nil, malform("Bad parameters: you must choose at least one stream")
	}
	if isTrue(r, "follow") {
		return nil, malform("this engine does not follow logs")
	}
	var lines []line
	if c.started.IsZero() {
		return nil, nil
	}
	if isTrue(r, "stdout") {
		lines = appendLines(lines, stdcopy.Stdout, c.behaviour.Stdout)
	}
	if isTrue(r, "stderr") {
		lines = appendLines(lines, stdcopy.Stderr, c.behaviour.Stderr)
	}
	if tail, err := strconv.Atoi(r.URL.Query().Get("tail")); err == nil && tail >= 0 {
		lines = lines[max(len(lines)-tail, 0):]
	}
	return lines, nil
}

func appendLines(lines []line, stream stdcopy.StdType, text string) []line {
	for text := range strings.Lines(text) {
		lines = append(lines, line{stream, text})
	}
	return lines
}

// writeFrame writes one frame of a stream that carries several:
// the stream's number, three zeros, the length, the text.
func writeFrame(w io.Writer, stream stdcopy.StdType, text string) {
	frame := []byte{byte(stream), 0, 0, 0}
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(text)))
	_, _ = w.Write(append(frame, text...))
}

// An execution is a command run in a container.
type execution struct {
	container *instance
	argv      []string
	exitCode  *int // nil until it ran
}

func (s *Server) createExec(r *http.Request) (answer, error) {
	c, err := s.container(r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	if !c.running {
		return answer{}, &apiError{http.StatusConflict, "Container " + c.id + " is not running"}
	}
	var request container.ExecCreateRequest
	if err := read(r, &request); err != nil {
		return answer{}, err
	}
	if len(request.Cmd) == 0 {
		return answer{}, malform("No exec command specified")
	}
	id := s.newID()
	s.execs[id] = &execution{container: c, argv: request.Cmd}
	return answer{http.StatusCreated, common.IDResponse{ID: id}}, nil
}

// startExec runs the command and sends its output over the connection, taken over from HTTP.
func (s *Server) startExec(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	e, ok := s.execs[r.PathValue("id")]
	s.mu.Unlock()
	if !ok {
		s.fail(w, r, notFound("exec instance", r.PathValue("id")))
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer func() { _ = connection.Close() }()
	_, _ = io.WriteString(connection, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	writeFrame(connection, stdcopy.Stdout, s.run(e)) // the engine answers at once and the command comes after
}

// run asks the behaviour, which may take its time, without the lock.
func (s *Server) run(e *execution) (output string) {
	code := 0
	if e.container.behaviour.Exec != nil {
		code, output = e.container.behaviour.Exec(e.argv)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.exitCode = &code
	return output
}

func (s *Server) inspectExec(r *http.Request) (answer, error) {
	e, ok := s.execs[r.PathValue("id")]
	if !ok {
		return answer{}, notFound("exec instance", r.PathValue("id"))
	}
	return answer{http.StatusOK, container.ExecInspectResponse{
		ID: r.PathValue("id"), ContainerID: e.container.id, ExitCode: e.exitCode, Running: e.exitCode == nil,
		ProcessConfig: &container.ExecProcessConfig{Entrypoint: e.argv[0], Arguments: e.argv[1:]},
	}}, nil
}
