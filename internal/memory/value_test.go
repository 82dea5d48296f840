package memory

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEncode(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`"hello :: world"`:      `hello :: world`,
		`"two\nlines"`:          "two\nlines",
		`""`:                    ``,
		`"<b>&é"`:               `<b>&é`,
		"\"bad \xff\"":          "bad �",
		`"123"`:                 `"123"`,
		`"{\"a\":1}"`:           `"{\"a\":1}"`,
		`"null"`:                `"null"`,
		`"__compressed__MTIz"`:  `"__compressed__MTIz"`,
		`"a\u0000b"`:            `"a\u0000b"`,
		`null`:                  `null`,
		` null `:                `null`,
		`12345678901234567890`:  `12345678901234567890`,
		`{ "b": "<", "a": [] }`: `{"b":"<","a":[]}`,
		"{\"a\":\"\xff\"}":      `{"a":"�"}`,
		`{"a":"\u0001"}`:        `{"a":"\u0001"}`,
	} {
		got, err := encode(json.RawMessage(value))
		if err != nil || got != want {
			t.Errorf("encode(%s) = %q, %v; want %q", value, got, err, want)
		}
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`hello :: world`:                         `"hello :: world"`,
		"two\nlines":                             `"two\nlines"`,
		``:                                       `""`,
		"bad \xff":                               `"bad �"`,
		`123`:                                    `123`,
		`"123"`:                                  `"123"`,
		`{ "b": 1e400, "a": 0.10 }`:              `{"b":1e400,"a":0.10}`,
		"{\"a\":\"\xff\"}":                       `{"a":"�"}`,
		`__compressed__` + b64(`{"a":"é"}`):      `{"a":"é"}`,
		`__compressed__` + b64(`no json`):        `"__compressed__bm8ganNvbg=="`,
		`__compressed__!`:                        `"__compressed__!"`,
		`{"__type__":"__undefined__"}`:           `null`,
		`[{"__type__":"__NaN__"}]`:               `[null]`,
		`{"at":` + date + `}`:                    `{"at":"2025-07-10T00:00:00.000Z"}`,
		`{"\u005f_type__":"__Date__","value":1}`: `1`,
		`{"__type__":"__Date__"}`:                `{}`,
		`{"__type__":"__BigInt__","value":"123456789012345678901"}`:                   `123456789012345678901`,
		`{"__type__":"__BigInt__","value":"1e9"}`:                                     `{"value":"1e9"}`,
		`{"__type__":"__Set__","values":[1,` + date + `]}`:                            `[1,"2025-07-10T00:00:00.000Z"]`,
		`{"__type__":"__Map__","entries":[["a",` + date + `],["b",2]]}`:               `{"a":"2025-07-10T00:00:00.000Z","b":2}`,
		`{"__type__":"__Map__","entries":[[1,2]]}`:                                    `[[1,2]]`,
		`{"__type__":"__Map__","entries":[3]}`:                                        `[3]`,
		`{"__type__":"__Map__","entries":3}`:                                          `{"entries":3}`,
		`{"__type__":"__Map__","entries":[["__type__","__Function__"],["source",1]]}`: `{"source":1}`,
		`{"__type__":"__Function__","name":"f"}`:                                      `{"name":"f"}`,
		`__compressed__` + b64(`{"d":`+date+`}`):                                      `{"d":"2025-07-10T00:00:00.000Z"}`,
	} {
		if got := string(decode(text)); got != want {
			t.Errorf("decode(%q) = %s, want %s", text, got, want)
		}
	}
}

const date = `{"__type__":"__Date__","value":"2025-07-10T00:00:00.000Z"}`

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// Whatever a file holds reads as JSON that can be written back and then stays what it is.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"", "text", "two\nlines :: x", "\xff", "1", `"1"`, `{"a":[1,{"b":null}]}`, date, `{"__type__":"__Map__","entries":[["a",1]]}`,
		compressed, compressed + b64(`{"a":1}`), compressed + b64(date), `{"\u005f_type__":1}`, "a\x00b", strings.Repeat("[", 100),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		value := decode(text)
		if !json.Valid(value) || !utf8.Valid(value) {
			t.Fatalf("decode(%q) = %q, which is no JSON", text, value)
		}
		stored, err := encode(value)
		if err != nil {
			t.Fatalf("decode(%q) = %s, which cannot be written: %v", text, value, err)
		}
		if strings.HasPrefix(stored, compressed) {
			t.Fatalf("%q is written with a marker as %q", text, stored)
		}
		if again := decode(stored); !sameJSON(again, value) {
			t.Fatalf("decode(%q) = %s, written as %q and read as %s", text, value, stored, again)
		}
	})
}

// sameJSON compares meanings: a second pass may spell an escape another way.
func sameJSON(a, b json.RawMessage) bool {
	return string(marshal(parse(a))) == string(marshal(parse(b)))
}
