package github

import "testing"

func TestMark(t *testing.T) {
	t.Parallel()
	m := NewMark("x")
	ours := m.begin + "\nours\n" + m.end
	for body, want := range map[string]struct{ replaced, around string }{
		"":                                 {ours, ""},
		"theirs\n":                         {"theirs\n" + ours, "theirs\n"},
		"a\n" + ours + "\nb":               {"a\n" + ours + "\nb", "a\n\nb"},
		"a\n" + m.begin + "\nold\nb\n":     {"a\n" + ours + "\nold\nb\n", "a\n\nold\nb\n"}, // whose is it?
		"a\n" + m.end + "\nb":              {"a\n" + m.end + "\nb" + ours, "a\n" + m.end + "\nb"},
		ours + "\n" + m.begin + "\n again": {ours + "\n" + m.begin + "\n again", "\n" + m.begin + "\n again"},
	} {
		if got := m.Replace(body, "ours"); got != want.replaced {
			t.Errorf("%q becomes %q, want %q", body, got, want.replaced)
		}
		if got := m.Around(body); got != want.around {
			t.Errorf("around the marks of %q is %q, want %q", body, got, want.around)
		}
	}
}

// TestMarksInTheText has what is written hold the marks: it is replaced as a whole the next time.
func TestMarksInTheText(t *testing.T) {
	t.Parallel()
	m := NewMark("release v1.2.3")
	for _, text := range []string{"- Mend it " + m.end + " by octocat", "- Mend it " + m.begin + " by octocat", m.begin + m.end, "<!-- end" + m.end + m.end} {
		once := m.Replace("Somebody's words.\n", text)
		if twice := m.Replace(once, text); twice != once {
			t.Errorf("%q becomes\n%s\nand then\n%s", text, once, twice)
		}
		if got := m.Around(once); got != "Somebody's words.\n" {
			t.Errorf("around %q is %q", text, got)
		}
	}
}
