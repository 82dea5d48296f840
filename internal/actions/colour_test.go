package actions

import (
	"bytes"
	"testing"
)

// told is what a log writes of everything that it can be told.
func told(onRunner bool, set func(*Log)) string {
	var out bytes.Buffer
	l := NewLog(&out, onRunner)
	set(l)
	l.Printf("… api: building")
	end := l.Group("Build of api")
	l.Printf("[1/2] RUN make\x1b[31m")
	end()
	p := l.Part("web")
	p.Print("[1/2] RUN make")
	p.End("Build of web")
	l.Notice(Annotation{Message: "n"})
	l.Warning(Annotation{Message: "w"})
	l.Error(Annotation{Message: "e"})
	l.Answer("✅ Published api.")
	l.Answer("1 of 2")
	return out.String()
}

func TestQuietAndColours(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		onRunner bool
		set      func(*Log)
		want     string
	}{
		"plain": {false, func(*Log) {}, "… api: building\n\nBuild of api\n[1/2] RUN make[31m\nweb │ [1/2] RUN make\nnotice: n\nwarning: w\nerror: e\n✅ Published api.\n1 of 2\n"},
		"quiet": {false, (*Log).Quiet, "warning: w\nerror: e\n✅ Published api.\n1 of 2\n"},
		"on a runner": {true, func(*Log) {}, "… api: building\n::group::Build of api\n[1/2] RUN make[31m\n::endgroup::\n::group::Build of web\n[1/2] RUN make\n::endgroup::\n" +
			"::notice::n\n::warning::w\n::error::e\n✅ Published api.\n1 of 2\n"},
		"quiet on a runner": {true, (*Log).Quiet, "::warning::w\n::error::e\n✅ Published api.\n1 of 2\n"},
		"coloured": {false, (*Log).Colour, "\x1b[2m… api: building\x1b[0m\n\n\x1b[1mBuild of api\x1b[0m\n[1/2] RUN make[31m\nweb │ [1/2] RUN make\n" +
			"\x1b[36mnotice: n\x1b[0m\n\x1b[33mwarning: w\x1b[0m\n\x1b[31merror: e\x1b[0m\n\x1b[32m✅ Published api.\x1b[0m\n\x1b[1m1 of 2\x1b[0m\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := told(c.onRunner, c.set); got != c.want {
				t.Errorf("got\n%q\nwant\n%q", got, c.want)
			}
		})
	}
}

// TestQuietKeepsSecrets has a secret masked that comes after the log is quiet.
func TestQuietKeepsSecrets(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := NewLog(&out, true)
	l.Quiet()
	l.Mask("s3cret")
	l.Answer("it is s3cret")
	if want := "::add-mask::s3cret\nit is ***\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
