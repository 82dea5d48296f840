package memory

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// How another writer of the file marks a long value (base64 of JSON) and a value JSON has no
// word for (an object that names its type). They are read and never written: a reader runs
// some of them as code.
const (
	compressed = "__compressed__"
	typeKey    = "__type__"
)

// encode returns the text the file keeps for a JSON value: a string without its quotes,
// anything else as compact JSON. A string that would be read back as something else keeps its quotes.
func encode(value json.RawMessage) (string, error) {
	if bytes.HasPrefix(bytes.TrimLeft(value, " \t\r\n"), []byte(`"`)) {
		return encodeString(value)
	}
	var b bytes.Buffer
	b.Grow(len(value))
	if json.Compact(&b, value) != nil {
		return "", errNotJSON
	}
	if mayHoldType(value) && holdsType(parse(value)) {
		return "", fmt.Errorf("the value uses the reserved key %q", typeKey)
	}
	return string(bytes.ToValidUTF8(b.Bytes(), []byte("\uFFFD"))), nil
}

var errNotJSON = errors.New("the value is not JSON")

func encodeString(value json.RawMessage) (string, error) {
	var s string
	if json.Unmarshal(value, &s) != nil {
		return "", errNotJSON
	}
	if readsBack(s) {
		return s, nil
	}
	return string(quote(s)), nil
}

func readsBack(s string) bool {
	return !json.Valid([]byte(s)) && !strings.HasPrefix(s, compressed) && !strings.ContainsRune(s, 0)
}

// decode returns the JSON value that a text of the file stands for. What is no JSON is a string.
func decode(text string) json.RawMessage {
	body := []byte(text)
	if encoded, ok := strings.CutPrefix(text, compressed); ok {
		body, _ = base64.StdEncoding.DecodeString(encoded)
	}
	switch {
	case !json.Valid(body):
		return quote(text)
	case !mayHoldType(body):
		return compact(body)
	}
	return marshal(unwrap(parse(body)))
}

// mayHoldType is a quick no for nearly every value. An escape could spell any letter of the key.
func mayHoldType(value []byte) bool {
	return bytes.Contains(value, []byte(typeKey)) || bytes.Contains(value, []byte(`\u00`))
}

func holdsType(v any) bool {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if holdsType(item) {
				return true
			}
		}
	case map[string]any:
		for key, item := range v {
			if key == typeKey || holdsType(item) {
				return true
			}
		}
	}
	return false
}

// unwrap replaces objects that name their type by the nearest value JSON has.
func unwrap(v any) any {
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			v[i] = unwrap(item)
		}
	case map[string]any:
		for key, item := range v {
			v[key] = unwrap(item)
		}
		return unwrapObject(v)
	}
	return v
}

func unwrapObject(object map[string]any) any {
	name := object[typeKey]
	delete(object, typeKey)
	switch name {
	case "__undefined__", "__NaN__", "__Infinity__", "__-Infinity__":
		return nil
	case "__Date__":
		return orObject(object["value"], object)
	case "__BigInt__":
		return bigInt(object)
	case "__Set__":
		return orObject(object["values"], object)
	case "__Map__":
		return mapped(object)
	}
	return object
}

// orObject returns v, or the object it should have been in when that is malformed.
func orObject(v any, object map[string]any) any {
	if v == nil {
		return object
	}
	return v
}

func bigInt(object map[string]any) any {
	digits, _ := object["value"].(string)
	if strings.Trim(digits, "-0123456789") != "" || !json.Valid([]byte(digits)) {
		return object
	}
	return json.Number(digits)
}

// mapped turns a list of pairs into an object, if every key of it is a string.
func mapped(object map[string]any) any {
	entries, ok := object["entries"].([]any)
	if !ok {
		return object
	}
	result := make(map[string]any, len(entries))
	for _, entry := range entries {
		pair, _ := entry.([]any)
		if len(pair) != 2 {
			return entries
		}
		key, ok := pair[0].(string)
		if !ok {
			return entries
		}
		result[key] = pair[1]
	}
	delete(result, typeKey) // a key of the map may not pass for a marker
	return result
}

// encodeMetadata returns the text the file keeps for metadata, empty for none.
func encodeMetadata(metadata json.RawMessage) (string, error) {
	if metadata == nil {
		return "", nil
	}
	if !isObject(metadata) {
		return "", errors.New("the metadata is not a JSON object")
	}
	return string(compact(metadata)), nil
}

func decodeMetadata(text []byte) json.RawMessage {
	if !isObject(text) {
		return nil
	}
	return compact(text)
}

func isObject(text []byte) bool {
	return json.Valid(text) && bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{"))
}

// compact removes the spaces of valid JSON, and what is not UTF-8.
func compact(valid []byte) json.RawMessage {
	var b bytes.Buffer
	_ = json.Compact(&b, valid) // fails on invalid JSON alone
	return bytes.ToValidUTF8(b.Bytes(), []byte("\uFFFD"))
}

func quote(s string) json.RawMessage { return marshal(strings.ToValidUTF8(s, "\uFFFD")) }

// marshal writes JSON as other writers of the file do, < and > and & unescaped.
func marshal(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // what parse yields can always be written
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// parse reads valid JSON and keeps its numbers digit for digit.
func parse(valid []byte) any {
	d := json.NewDecoder(bytes.NewReader(valid))
	d.UseNumber()
	var v any
	_ = d.Decode(&v) // fails on invalid JSON alone
	return v
}
