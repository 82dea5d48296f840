package compose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
)

// Programs are those that a container can be asked with from inside, the best first. Most images have one, and few have curl.
var Programs = [...]string{"wget", "curl", "node", "python3", "bash"}

// asked reports whether a service can only be asked from another container.
func (i Image) asked() bool {
	return !i.Checked && i.Service.Port != 0 && i.Service.RunOnce == nil && i.ask() == nil
}

// ask is how a service is asked inside its container; nil where there is nothing to ask, or the image has nothing to do that with.
func (i Image) ask() []string {
	if i.Service.Port == 0 || i.Service.RunOnce != nil {
		return nil
	}
	address := fmt.Sprintf("http://127.0.0.1:%d%s", i.Service.Port, i.Service.HealthEndpoint)
	for _, program := range Programs {
		if !slices.Contains(i.Programs, program) {
			continue
		}
		if i.Service.HealthEndpoint == "" {
			if test := askPort(program, i.Service.Port); test != nil {
				return escaped(test...)
			}
			continue
		}
		return escaped(askFor(program, address, i.Service)...)
	}
	return nil
}

// askFor asks for a page, and succeeds where the answer says so.
func askFor(program, address string, s service.Service) []string {
	switch program {
	case "wget": // busybox's and GNU's
		return []string{"CMD", "wget", "-q", "-O", "/dev/null", address}
	case "curl":
		return []string{"CMD", "curl", "-fsS", "-o", "/dev/null", address}
	case "node":
		return []string{"CMD", "node", "-e", fmt.Sprintf("require('http').get(%s, r => process.exit(r.statusCode < 400 ? 0 : 1)).on('error', () => process.exit(1))", quoted(address))}
	case "python3":
		return []string{"CMD", "python3", "-c", fmt.Sprintf("import urllib.request; urllib.request.urlopen(%s)", quoted(address))}
	default:
		return []string{"CMD", "bash", "-c", fmt.Sprintf(`exec 3<>/dev/tcp/127.0.0.1/%d && printf 'GET %%s HTTP/1.0\r\nHost: localhost\r\n\r\n' %s >&3 && read -r _ code _ <&3 && [ "$code" -lt 400 ]`, s.Port, shellQuoted(s.HealthEndpoint))}
	}
}

// askPort succeeds where somebody listens; nil where a program cannot find that out.
func askPort(program string, port int) []string {
	switch program {
	case "node":
		return []string{"CMD", "node", "-e", fmt.Sprintf("require('net').connect(%d, '127.0.0.1', () => process.exit(0)).on('error', () => process.exit(1))", port)}
	case "python3":
		return []string{"CMD", "python3", "-c", fmt.Sprintf("import socket; socket.create_connection(('127.0.0.1', %d))", port)}
	case "bash":
		return []string{"CMD", "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/127.0.0.1/%d", port)}
	default:
		return nil
	}
}

// busybox asks another container, by its name.
func busybox(name string, s service.Service) []string {
	if s.HealthEndpoint == "" {
		return []string{"CMD", "nc", "-z", name, fmt.Sprint(s.Port)}
	}
	return escaped("CMD", "wget", "-q", "-O", "/dev/null", fmt.Sprintf("http://%s:%d%s", name, s.Port, s.HealthEndpoint))
}

// quoted is a text of JavaScript and of Python.
func quoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}

func shellQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
