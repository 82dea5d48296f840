package dashboard

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/verdict"
)

// files are what the page is made of: our own, and uPlot, as npm has it. Its licence wants to go with it.
//
//go:embed page uplot
var files embed.FS

// Generator is in every page, which is known by it.
const Generator = "ghcr-publish dashboard"

// A page is what its template is filled with.
type page struct {
	Title           string
	Generator       string
	Policy          string // of the page: it loads nothing, and runs nothing but its own two scripts
	Style           template.CSS
	Library, Script template.JS
	Figures         Figures
	Data            data
	Advice          []advice
	Tiers           bool // there are any
}

// Watched is what a page shows that is written again and again: it loads itself anew, and nothing but itself.
func (f Figures) Watched() Figures {
	f.reload = 5
	return f
}

// An advice is on the last build of a service, which is told by its index.
type advice struct {
	Index         int
	Service, Text string
}

// Page writes the figures as a page of HTML, which needs nothing beside it. Whatever was remembered is text in it.
func (f Figures) Page() ([]byte, error) {
	p := page{Generator: Generator, Title: strings.TrimSuffix("Builds of "+f.Repository, " of "), Figures: f, Data: f.data(), Advice: f.advice(), Tiers: slices.ContainsFunc(f.Services, func(s Service) bool { return len(s.Tiers) > 0 })}
	texts := map[string]string{}
	for _, name := range []string{"page/page.html", "page/page.css", "page/page.js", "uplot/uPlot.iife.min.js", "uplot/uPlot.min.css", "uplot/LICENSE"} {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("reading the page: %w", err)
		}
		texts[name] = string(text)
	}
	style := texts["uplot/uPlot.min.css"] + texts["page/page.css"]
	p.Style, p.Library, p.Script = template.CSS(style), template.JS("/*\n"+texts["uplot/LICENSE"]+"*/\n"+texts["uplot/uPlot.iife.min.js"]), template.JS(texts["page/page.js"])
	p.Policy = fmt.Sprintf("default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src %s; script-src %s %s", source(style), source(string(p.Library)), source(string(p.Script)))
	t, err := template.New("page").Funcs(f.functions()).Parse(texts["page/page.html"])
	if err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		return nil, fmt.Errorf("writing the page: %w", err)
	}
	return out.Bytes(), nil
}

// source allows what has this text. https://www.w3.org/TR/CSP3/#grammardef-hash-source
func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (f Figures) advice() []advice {
	var all []advice
	for i, s := range f.Services {
		for _, a := range s.Advice {
			all = append(all, advice{i, f.Label(s), a.Text})
		}
	}
	return all
}

// Label names a service, and the repository it is of where that is another one.
func (f Figures) Label(s Service) string {
	if s.Repository == f.Repository {
		return s.Name
	}
	return s.Repository + " " + s.Name
}

// data is what the page's script works with: of each build the same figure in a row. What is not known is -1, 0 or null, whichever cannot be known.
type data struct {
	Made     int64      `json:"made"`             // seconds since 1970
	Reload   int        `json:"reload,omitempty"` // seconds after which the page loads itself again; 0 for never
	Services []string   `json:"services"`
	Bases    []string   `json:"bases"` // page of each service's repository; empty where there is none
	Refs     []string   `json:"-"`
	Branches []string   `json:"branches"`
	Service  []int      `json:"service"`
	Ref      []int      `json:"ref"`
	At       []int64    `json:"at"`
	Run      []string   `json:"run"`
	Part     []int      `json:"part"`   // which of the service's platforms; those of the same have the same number
	Linked   []int      `json:"linked"` // 1 where the run has a page
	Commit   []string   `json:"commit"`
	Passed   []int      `json:"passed"`
	Reused   []int      `json:"reused"`
	Seconds  []float64  `json:"seconds"`
	Expected []float64  `json:"expected"`
	Low      []float64  `json:"low"`
	High     []float64  `json:"high"`
	Work     []float64  `json:"work"`
	Hits     []float64  `json:"hits"`
	Bytes    []float64  `json:"bytes"`
	Startup  []float64  `json:"startup"`
	Findings [][]int    `json:"findings"` // critical, high, others
	Trial    []int      `json:"trial"`    // 0 none, 1 healthy, 2 failed, 3 flaky
	Runs     runData    `json:"runs"`
	Rescans  rescanData `json:"rescans"`
}

// runData are runs that packed work.
type runData struct {
	At      []int64   `json:"at"`
	Ref     []int     `json:"ref"`
	Seconds []float64 `json:"seconds"`
	Least   []float64 `json:"least"`
}

type rescanData struct {
	At       []int64 `json:"at"`
	Service  []int   `json:"service"`
	Findings [][]int `json:"findings"`
}

func (f Figures) data() data {
	d := data{Made: f.MadeAt.Unix(), Reload: f.reload, At: []int64{}, Run: []string{}, Runs: runData{At: []int64{}}, Rescans: rescanData{At: []int64{}}}
	services, refs, parts := map[identity]int{}, map[string]int{}, map[string]int{}
	for i, s := range f.Services {
		services[s.identity()] = i
		d.Services, d.Bases = append(d.Services, f.Label(s)), append(d.Bases, "")
	}
	refOf := func(name string) int {
		ref, seen := refs[name]
		if !seen {
			ref = len(d.Refs)
			refs[name] = ref
			d.Refs, d.Branches = append(d.Refs, name), append(d.Branches, branch(name))
		}
		return ref
	}
	for _, r := range f.Runs {
		d.Runs.At, d.Runs.Ref = append(d.Runs.At, r.At.Unix()), append(d.Runs.Ref, refOf(r.Ref))
		d.Runs.Seconds, d.Runs.Least = append(d.Runs.Seconds, r.Seconds), append(d.Runs.Least, r.Least)
	}
	for _, r := range f.Rescans {
		d.Rescans.At, d.Rescans.Service, d.Rescans.Findings = append(d.Rescans.At, r.At.Unix()), append(d.Rescans.Service, services[r.identity()]), append(d.Rescans.Findings, drawn(r.Findings))
	}
	for _, b := range f.Builds {
		ref := refOf(b.Ref)
		if _, seen := parts[b.Part]; !seen {
			parts[b.Part] = len(parts)
		}
		at := services[b.identity()]
		d.Service, d.Ref, d.Part = append(d.Service, at), append(d.Ref, ref), append(d.Part, parts[b.Part])
		if base, _, found := strings.Cut(b.CommitURL, "/commit/"); found {
			d.Bases[at] = base
		}
		d.add(b)
	}
	return d
}

func (d *data) add(b Build) {
	d.At, d.Run, d.Commit = append(d.At, b.At.Unix()), append(d.Run, b.Run), append(d.Commit, b.Commit)
	d.Linked, d.Passed, d.Reused = append(d.Linked, bit(b.RunURL != "")), append(d.Passed, bit(b.Passed)), append(d.Reused, bit(b.Action == "reuse"))
	d.Seconds, d.Expected, d.Low, d.High = append(d.Seconds, b.Seconds), append(d.Expected, b.Expected), append(d.Low, b.Low), append(d.High, b.High)
	d.Work, d.Bytes, d.Startup = append(d.Work, b.Work), append(d.Bytes, b.Bytes), append(d.Startup, b.Startup)
	hits := -1.0
	if b.HitRate != nil {
		hits = *b.HitRate
	}
	d.Hits = append(d.Hits, hits)
	var findings []int
	if b.Findings != nil {
		findings = drawn(b.Findings)
	}
	d.Findings = append(d.Findings, findings)
	d.Trial = append(d.Trial, slices.Index([]string{"", "healthy", "failed", "flaky"}, b.Trial))
}

// drawn are findings as they are drawn: critical, high, others.
func drawn(findings map[string]int) []int {
	critical, high := findings["CRITICAL"], findings["HIGH"]
	return []int{critical, high, total(findings) - critical - high}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func total(of map[string]int) (sum int) {
	for _, n := range of {
		sum += n
	}
	return sum
}

// branch names a ref for a person.
func branch(ref string) string {
	return strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/")
}

// A card is one figure with what it says.
type card struct{ Name, Value, Note string }

const none = "–"

func cards(f Figures) []card {
	s, efficiency, runs := f.Overall, (*float64)(nil), "no run of several services or platforms"
	if f.Schedule != nil {
		efficiency, runs = &f.Schedule.Efficiency, "efficiency, over "+verdict.Quantity(f.Schedule.Runs, "run")
	}
	time := "median; nothing to compare with"
	if s.Expected != nil {
		time = fmt.Sprintf("median; %s expected, %s as expected", Seconds(s.Expected), Percent(s.Within))
	}
	return []card{
		{"Passed", Percent(s.Success), fmt.Sprintf("%d of %s", s.Passed, verdict.Quantity(s.Builds, "build"))},
		{"Build time", Seconds(s.Seconds), time},
		{"From the cache", Percent(s.HitRate), "mean of a build's instructions"},
		{"Startup", Seconds(s.Startup), "median until healthy"},
		{"Flaky", fmt.Sprint(s.Flaky), fmt.Sprintf("of %d failed in %s", s.Failed, verdict.Quantity(s.Trials, "trial"))},
		{"Work", minutes(s.Work), "summed over all builds"},
		{"Schedule", Percent(efficiency), runs},
	}
}

func heads() []string {
	return []string{"Service", "Builds", "Passed", "Median", "Expected", "As expected", "From cache", "Startup", "Image", "Findings", "Live findings", "Flaky", "Work"}
}

func cells(s Service) []string {
	findings, live := none, none
	if s.Findings != nil {
		findings = fmt.Sprint(total(s.Findings))
	}
	if s.Live != nil {
		live = fmt.Sprint(total(s.Live))
	}
	return []string{fmt.Sprint(s.Builds), Percent(s.Success), Seconds(s.Seconds), Seconds(s.Expected), Percent(s.Within), Percent(s.HitRate),
		Seconds(s.Startup), size(s.Sizes), findings, live, fmt.Sprint(s.Flaky), minutes(s.Work)}
}

// size is that of the largest of an image's platforms.
func size(of map[string]float64) string {
	largest := 0.0
	for _, bytes := range of {
		largest = max(largest, bytes)
	}
	return bytesText(largest)
}

// bytesText writes a number of bytes for a person; 0 is not known.
func bytesText(n float64) string {
	switch {
	case n == 0:
		return none
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", n/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", n/1e6)
	default:
		return fmt.Sprintf("%.1f kB", n/1e3)
	}
}

func minutes(seconds float64) string { return fmt.Sprintf("%.0f min", math.Floor(seconds/60+0.5)) }

// Seconds writes a time for a person, or that it is not known.
func Seconds(v *float64) string {
	if v == nil {
		return none
	}
	return learn.Text(*v)
}

// Percent writes a share for a person, or that it is not known.
func Percent(v *float64) string {
	if v == nil {
		return none
	}
	return percent(*v)
}

func (f Figures) functions() template.FuncMap {
	return template.FuncMap{
		"cards": cards, "cells": cells, "heads": heads, "bytes": bytesText, "percent": percent, "seconds": learn.Text, "label": f.Label,
		"shown":  func(n int) string { return verdict.Quantity(n, "build") + " shown" },
		"branch": func(ref string) string { return cmp.Or(branch(ref), "unknown") },
		"date":   func(t time.Time) string { return t.Format("2 January 2006") },
		"clock":  func(t time.Time) string { return t.Format("15:04:05") },
		"moment": func(t time.Time) string { return t.Format("2 January 2006, 15:04") },
	}
}
