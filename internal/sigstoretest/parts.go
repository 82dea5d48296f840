package sigstoretest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"

	"crypto"

	"github.com/digitorus/timestamp"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-openapi/runtime"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	"github.com/sigstore/sigstore-go/pkg/tlog"

	// The log's types of entries register themselves.
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"
)

func fromHex(text string) ([]byte, error) { return hex.DecodeString(text) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// token gives a job a token of its identity.
// https://docs.github.com/en/actions/reference/security/oidc
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+s.RequestToken || r.URL.Query().Get("version") != "2" {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"value": s.Token(r.URL.Query().Get("audience"))})
}

// Token is a token for an audience.
func (s *Server) Token(audience string) string {
	s.mu.Lock()
	claims := maps.Clone(s.claims)
	s.mu.Unlock()
	claims["aud"], claims["iat"], claims["exp"] = audience, time.Now().Unix(), time.Now().Add(5*time.Minute).Unix()
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.issuer, KeyID: "1"}}, nil))
	return must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

// discover and keys let others prove tokens. https://openid.net/specs/openid-connect-discovery-1_0.html
func (s *Server) discover(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/keys", "response_types_supported": []string{"id_token"},
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"}})
}

func (s *Server) keys(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.issuer.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
}

// certify gives a certificate for a key to whoever the token is of.
// https://github.com/sigstore/fulcio/blob/main/fulcio.proto
func (s *Server) certify(w http.ResponseWriter, r *http.Request) {
	claims, err := s.claimsOf(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	var asked struct {
		PublicKeyRequest struct {
			PublicKey struct{ Content string }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	block, _ := pem.Decode([]byte(asked.PublicKeyRequest.PublicKey.Content))
	if block == nil {
		http.Error(w, "no key", http.StatusBadRequest)
		return
	}
	key := must(x509.ParsePKIXPublicKey(block.Bytes))
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Second), NotAfter: time.Now().Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		URIs: []*url.URL{must(url.Parse(github + claims.WorkflowRef))},
		// https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
	}
	for number, value := range map[int]string{8: claims.Issuer, 12: github + claims.Repository, 14: claims.Ref, 20: claims.Event,
		21: fmt.Sprintf("%s%s/actions/runs/%s/attempts/%s", github, claims.Repository, claims.RunID, claims.Attempt)} {
		template.ExtraExtensions = append(template.ExtraExtensions,
			pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, number}, Value: must(asn1.MarshalWithParams(value, "utf8"))})
	}
	der := must(x509.CreateCertificate(rand.Reader, template, s.fulcio.certificate, key, s.fulcio.key))
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	writeJSON(w, http.StatusOK, map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": []string{certificate}}}})
}

const github = "https://github.com/"

// A claimed is what the authority reads of a token.
type claimed struct {
	Issuer      string `json:"iss"`
	Audience    string `json:"aud"`
	WorkflowRef string `json:"job_workflow_ref"`
	Repository  string `json:"repository"`
	Ref         string `json:"ref"`
	Event       string `json:"event_name"`
	RunID       string `json:"run_id"`
	Attempt     string `json:"run_attempt"`
}

func (s *Server) claimsOf(token string) (claimed, error) {
	var c claimed
	parsed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return c, err
	}
	payload, err := parsed.Verify(s.issuer.Public())
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, err
	}
	if c.Audience != "sigstore" {
		return c, jose.ErrCryptoFailure
	}
	return c, nil
}

// log takes an entry in, as Rekor does. https://github.com/sigstore/rekor/blob/main/openapi.yaml
func (s *Server) log(w http.ResponseWriter, r *http.Request) {
	body, err := s.entry(r.Context(), r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.entries++
	s.mu.Unlock()
	text, now, index, id := base64.StdEncoding.EncodeToString(body), time.Now().Unix(), int64(0), must(s.virtual.RekorLogID())
	promise := must(s.virtual.RekorSignPayload(tlog.RekorPayload{Body: text, IntegratedTime: now, LogIndex: index, LogID: id}))
	sum := sha256.Sum256(body)
	uuid := hex.EncodeToString(sum[:])
	w.Header().Set("ETag", uuid)
	w.Header().Set("Location", s.URL+"/api/v1/log/entries/"+uuid)
	writeJSON(w, http.StatusCreated, map[string]models.LogEntryAnon{uuid: {Body: text, IntegratedTime: &now, LogIndex: &index, LogID: &id,
		Verification: &models.LogEntryAnonVerification{SignedEntryTimestamp: promise, InclusionProof: must(s.virtual.GetInclusionProof(body))}}})
}

// entry is a proposed entry as the log keeps it.
func (s *Server) entry(ctx context.Context, proposed io.Reader) ([]byte, error) {
	read, err := models.UnmarshalProposedEntry(proposed, runtime.JSONConsumer())
	if err != nil {
		return nil, err
	}
	made, err := types.CreateVersionedEntry(read)
	if err != nil {
		return nil, err
	}
	return types.CanonicalizeEntry(ctx, made)
}

// timestamp testifies when something was shown to it. https://www.rfc-editor.org/rfc/rfc3161
func (s *Server) timestamp(w http.ResponseWriter, r *http.Request) {
	asked, err := timestamp.ParseRequest(must(io.ReadAll(r.Body)))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	stamp := timestamp.Timestamp{HashAlgorithm: asked.HashAlgorithm, HashedMessage: asked.HashedMessage, Time: time.Now(), Nonce: asked.Nonce,
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, AddTSACertificate: asked.Certificates}
	answer := must(stamp.CreateResponseWithOpts(s.tsa.certificate, s.tsa.key, crypto.SHA256))
	w.Header().Set("Content-Type", "application/timestamp-reply")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.Copy(w, bytes.NewReader(answer))
}
