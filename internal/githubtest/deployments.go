package githubtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// A Deployment is one that was recorded.
type Deployment struct {
	Ref         string
	Environment string
	Payload     json.RawMessage
	States      []string // in order
	Said        []string // of each state
}

// Deployments returns all there are, the first that was recorded first.
func (s *Server) Deployments() []Deployment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.deployments)
}

// AddDeployments adds so many to other environments, which tell nothing.
func (s *Server) AddDeployments(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.deployments = append(s.deployments, Deployment{Ref: "main", Environment: "elsewhere"})
	}
}

// WithholdDeployments takes the right to record any from the token.
func (s *Server) WithholdDeployments() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noDeployments = true
}

// deploy takes a deployment in. The real API refuses one whose commit has checks that did not pass, unless none are required.
// https://docs.github.com/en/rest/deployments/deployments#create-a-deployment
func (s *Server) deploy(w http.ResponseWriter, r *http.Request) {
	var d struct {
		Deployment
		RequiredContexts *[]string `json:"required_contexts"`
		AutoMerge        *bool     `json:"auto_merge"`
	}
	if err := json.NewDecoder(r.Body).Decode(&d); err != nil {
		s.refuse(w, r, &refusal{http.StatusBadRequest, err.Error()})
		return
	}
	if d.RequiredContexts == nil || len(*d.RequiredContexts) > 0 || d.AutoMerge == nil || *d.AutoMerge {
		s.refuse(w, r, &refusal{http.StatusConflict, "Conflict: Commit status checks failed for " + d.Ref})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.noDeployments {
		writeError(w, http.StatusForbidden, "Resource not accessible by integration")
		return
	}
	s.deployments = append(s.deployments, d.Deployment)
	writeJSON(w, http.StatusCreated, s.deployment(len(s.deployments)))
}

// deploymentStatus takes the state of one in.
// https://docs.github.com/en/rest/deployments/statuses#create-a-deployment-status
func (s *Server) deploymentStatus(w http.ResponseWriter, r *http.Request) {
	var status struct{ State, Description string }
	id, _ := strconv.Atoi(r.PathValue("id"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if id < 1 || id > len(s.deployments) || json.NewDecoder(r.Body).Decode(&status) != nil {
		writeError(w, http.StatusNotFound, "Not Found")
		return
	}
	d := &s.deployments[id-1]
	d.States, d.Said = append(d.States, status.State), append(d.Said, status.Description)
	writeJSON(w, http.StatusCreated, s.deploymentState(id, len(d.States)-1))
}

// listDeployments lists those of all environments, or of one, the newest first.
// https://docs.github.com/en/rest/deployments/deployments#list-deployments
func (s *Server) listDeployments(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.noDeployments {
		writeError(w, http.StatusForbidden, "Resource not accessible by integration")
		return
	}
	found := []any{}
	for i, d := range slices.Backward(s.deployments) {
		if wanted := r.URL.Query().Get("environment"); wanted == "" || d.Environment == wanted {
			found = append(found, s.deployment(i+1))
		}
	}
	s.writePage(w, r, found, 100)
}

// deploymentStates lists how a deployment went, the last first.
func (s *Server) deploymentStates(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.PathValue("id"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if id < 1 || id > len(s.deployments) {
		writeError(w, http.StatusNotFound, "Not Found")
		return
	}
	found := []any{}
	for n := range slices.Backward(s.deployments[id-1].States) {
		found = append(found, s.deploymentState(id, n))
	}
	writeJSON(w, http.StatusOK, found)
}

// deploymentState is one as GitHub tells of it.
func (s *Server) deploymentState(id, n int) map[string]any {
	d := s.deployments[id-1]
	now := time.Now().UTC().Format(time.RFC3339)
	at := fmt.Sprintf("%s/repos/o/r/deployments/%d", s.URL, id)
	return map[string]any{"id": 1, "node_id": "DS_1", "url": at + "/statuses/1", "state": d.States[n], "creator": nil, "description": d.Said[n], "environment": d.Environment,
		"target_url": "", "created_at": now, "updated_at": now, "deployment_url": at, "repository_url": s.URL + "/repos/o/r"}
}

// deployment is one as GitHub tells of it, with all that it must have.
func (s *Server) deployment(id int) map[string]any {
	d := s.deployments[id-1]
	now := time.Now().UTC().Format(time.RFC3339)
	at := fmt.Sprintf("%s/repos/o/r/deployments/%d", s.URL, id)
	payload := d.Payload
	if payload == nil {
		payload = json.RawMessage(`{}`)
	}
	return map[string]any{"id": id, "node_id": "DE_1", "url": at, "sha": d.Ref, "ref": d.Ref, "task": "deploy", "payload": payload, "environment": d.Environment, "description": nil, "creator": nil,
		"created_at": now, "updated_at": now, "statuses_url": at + "/statuses", "repository_url": s.URL + "/repos/o/r"}
}
