package githubtest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// description is what GitHub publishes of its API, in part; testdata/prune.jq says how it came about.
//
//go:embed testdata/openapi.json
var description []byte

// A contract holds requests, and this server's own answers, to GitHub's published description.
type contract struct{ router routers.Router }

// described is the description once it was read, which takes a tenth of a second. It panics where it cannot be, as nothing can be
// tested then.
var described = sync.OnceValue(func() openapi3.T {
	document, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		panic(fmt.Sprintf("githubtest: reading GitHub's description: %v", err))
	}
	return *document
})

// newContract is that of an API at an address.
func newContract(address string) contract {
	document := described()
	document.Servers = openapi3.Servers{{URL: address}}
	router, err := gorillamux.NewRouter(&document)
	if err != nil {
		panic(fmt.Sprintf("githubtest: reading GitHub's description: %v", err))
	}
	return contract{router}
}

// request finds what the description says of a request. Where it names no such operation, or the body is no JSON, there is nil: the
// routes have answers for those.
func (c contract) request(r *http.Request) (*openapi3filter.RequestValidationInput, error) {
	route, parameters, err := c.router.FindRoute(r)
	if err != nil {
		return nil, nil
	}
	if route.Operation.RequestBody != nil && !isJSON(r) {
		return nil, nil
	}
	input := &openapi3filter.RequestValidationInput{Request: r, Route: route, PathParams: parameters,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true}} // what a request leaves out is for the routes to know
	return input, openapi3filter.ValidateRequest(r.Context(), input)
}

// isJSON reports whether a request says and has JSON. Its body can be read again.
func isJSON(r *http.Request) bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	text, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(text))
	return err == nil && kind == "application/json" && json.Valid(text)
}

// answer proves an answer of success. Errors are in the shape that all of GitHub's have.
func (c contract) answer(input *openapi3filter.RequestValidationInput, w *httptest.ResponseRecorder) error {
	if input == nil || w.Code >= http.StatusBadRequest {
		return nil
	}
	return openapi3filter.ValidateResponse(input.Request.Context(), &openapi3filter.ResponseValidationInput{RequestValidationInput: input,
		Status: w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(w.Body.Bytes())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}})
}

// hold lets through to the routes what the description allows, and out what it allows.
func (s *Server) hold(next http.Handler) http.Handler {
	c := newContract(s.URL)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		input, err := c.request(r)
		if err != nil {
			s.refuse(w, r, &refusal{http.StatusUnprocessableEntity, "Invalid request.\n\n" + err.Error()})
			return
		}
		kept := httptest.NewRecorder()
		next.ServeHTTP(kept, r)
		if err := c.answer(input, kept); err != nil {
			s.refuse(w, r, &refusal{http.StatusInternalServerError, "This server's own answer is not what GitHub describes: " + err.Error()})
			return
		}
		for key, values := range kept.Header() {
			w.Header()[key] = values
		}
		w.WriteHeader(kept.Code)
		_, _ = w.Write(kept.Body.Bytes())
	})
}
