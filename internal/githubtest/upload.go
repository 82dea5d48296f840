package githubtest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

// An Upload is a SARIF file that was accepted.
type Upload struct {
	Repository     string // "owner/name"
	CommitSHA, Ref string
	ToolName       string   // as the request names it
	Categories     []string // one per run
	Results        int      // of all runs
	Log            map[string]any
}

// The most an upload may hold. https://docs.github.com/code-security/code-scanning/troubleshooting-sarif-uploads/file-too-large
const (
	maxZipped   = 10 << 20
	maxUnzipped = 512 << 20
)

// A body is what the request for an upload holds; other keys are refused.
type body struct {
	CommitSHA   string     `json:"commit_sha"`
	Ref         string     `json:"ref"`
	SARIF       string     `json:"sarif"`
	CheckoutURI string     `json:"checkout_uri"`
	StartedAt   *time.Time `json:"started_at"`
	ToolName    string     `json:"tool_name"`
	Validate    bool       `json:"validate"`
}

// read takes an upload out of its request, or says why it is refused.
func read(r *http.Request) (Upload, *refusal) {
	b, why := readBody(r)
	if why != nil {
		return Upload{}, why
	}
	text, why := unpack(b.SARIF)
	if why != nil {
		return Upload{}, why
	}
	u := Upload{Repository: repository(r), CommitSHA: b.CommitSHA, Ref: b.Ref, ToolName: b.ToolName}
	var file log
	if err := json.Unmarshal(text, &file); err != nil {
		return Upload{}, invalid("reading the file: %v", err)
	}
	_ = json.Unmarshal(text, &u.Log) // what fits the log is an object
	var err error
	if u.Categories, u.Results, err = file.check(); err != nil {
		return Upload{}, invalid("%v", err)
	}
	return u, nil
}

func readBody(r *http.Request) (body, *refusal) {
	var b body
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return b, &refusal{http.StatusUnsupportedMediaType, "Unsupported 'Content-Type' header. Must be 'application/json'."}
	}
	text, err := io.ReadAll(r.Body)
	if err != nil || !json.Valid(text) {
		return b, &refusal{http.StatusBadRequest, "Problems parsing JSON"}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return b, &refusal{http.StatusUnprocessableEntity, "Invalid request.\n\n" + err.Error()}
	}
	return b, nil
}

// unpack undoes the base64 and the compression of a SARIF file.
func unpack(packed string) ([]byte, *refusal) {
	zipped, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		return nil, invalid("the file is not base64: %v", err)
	}
	if len(zipped) > maxZipped {
		return nil, &refusal{http.StatusRequestEntityTooLarge, "SARIF file is too large"}
	}
	unzip, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, invalid("the file is not compressed by gzip: %v", err)
	}
	text, err := io.ReadAll(io.LimitReader(unzip, maxUnzipped+1))
	if err != nil {
		return nil, invalid("unpacking the file: %v", err)
	}
	if len(text) > maxUnzipped {
		return nil, &refusal{http.StatusRequestEntityTooLarge, "SARIF file is too large"}
	}
	return text, nil
}

// invalid refuses a SARIF file.
func invalid(format string, args ...any) *refusal {
	return &refusal{http.StatusBadRequest, "Invalid SARIF: " + fmt.Sprintf(format, args...)}
}
