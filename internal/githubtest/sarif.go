package githubtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// How much of each a SARIF file may hold, and how long the words of a rule may be.
// https://docs.github.com/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
const (
	maxRuns        = 20
	maxResults     = 25_000
	maxRules       = 25_000
	maxExtensions  = 100
	maxLocations   = 1_000
	maxFlow        = 10_000
	maxTags        = 20
	maxName        = 255
	maxDescription = 1_024
)

// fingerprint is the only one by which GitHub knows a finding again.
const fingerprint = "primaryLocationLineHash"

// The parts of SARIF 2.1.0 that GitHub makes use of.
type (
	log struct {
		Version string `json:"version"`
		Runs    []run  `json:"runs"`
	}
	run struct {
		Tool struct {
			Driver     component   `json:"driver"`
			Extensions []component `json:"extensions"`
		} `json:"tool"`
		AutomationDetails struct {
			ID string `json:"id"`
		} `json:"automationDetails"`
		Results results `json:"results"`
	}
	component struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	}
	rule struct {
		ID               string  `json:"id"`
		Name             string  `json:"name"`
		ShortDescription message `json:"shortDescription"`
		FullDescription  message `json:"fullDescription"`
		Properties       struct {
			Tags []string `json:"tags"`
		} `json:"properties"`
	}
	message struct {
		Text string `json:"text"`
	}
	result struct {
		RuleID              string            `json:"ruleId"`
		RuleIndex           *int              `json:"ruleIndex"`
		Message             message           `json:"message"`
		Locations           []location        `json:"locations"`
		PartialFingerprints map[string]string `json:"partialFingerprints"`
		CodeFlows           []struct {
			ThreadFlows []struct {
				Locations []json.RawMessage `json:"locations"`
			} `json:"threadFlows"`
		} `json:"codeFlows"`
	}
	location struct {
		PhysicalLocation struct {
			ArtifactLocation struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region *struct {
				StartLine int `json:"startLine"`
			} `json:"region"`
		} `json:"physicalLocation"`
	}
)

// results tells an empty list, which closes all findings, from none at all.
type results struct {
	present bool
	items   []result
}

func (r *results) UnmarshalJSON(text []byte) error {
	r.present = string(text) != "null"
	return json.Unmarshal(text, &r.items)
}

// check returns each run's category and how many results there are, or why the file is refused.
func (l log) check() (categories []string, found int, err error) {
	if l.Version != "2.1.0" {
		return nil, 0, fmt.Errorf("the version is %q, not 2.1.0", l.Version)
	}
	if len(l.Runs) == 0 || len(l.Runs) > maxRuns {
		return nil, 0, fmt.Errorf("it has %d runs; 1 to %d are allowed", len(l.Runs), maxRuns)
	}
	seen := map[[2]string]bool{}
	for i, run := range l.Runs {
		if err := run.check(); err != nil {
			return nil, 0, fmt.Errorf("run %d: %w", i, err)
		}
		key := [2]string{run.Tool.Driver.Name, run.category()}
		if seen[key] {
			return nil, 0, fmt.Errorf("a delivery cannot contain multiple runs with the same category: %q", key[1])
		}
		seen[key] = true
		categories = append(categories, run.category())
		found += len(run.Results.items)
	}
	return categories, found, nil
}

// category is the id's part before the last slash; without a slash there is none.
func (r run) category() string {
	return r.AutomationDetails.ID[:max(strings.LastIndex(r.AutomationDetails.ID, "/"), 0)]
}

func (r run) check() error {
	switch {
	case r.Tool.Driver.Name == "":
		return errors.New("the tool has no name")
	case r.category() == "":
		return fmt.Errorf("automationDetails.id %q has no category: it needs text and a slash after it", r.AutomationDetails.ID)
	case !r.Results.present:
		return errors.New("results is not a list")
	case len(r.Results.items) > maxResults:
		return fmt.Errorf("it has %d results; %d are allowed", len(r.Results.items), maxResults)
	case len(r.Tool.Extensions) > maxExtensions:
		return fmt.Errorf("the tool has %d extensions; %d are allowed", len(r.Tool.Extensions), maxExtensions)
	}
	rules, err := r.rules()
	if err != nil {
		return err
	}
	for i, result := range r.Results.items {
		if err := result.check(rules); err != nil {
			return fmt.Errorf("result %d (%s): %w", i, result.RuleID, err)
		}
	}
	return nil
}

// rules returns the place of each rule that the run's tool defines, the driver's first.
func (r run) rules() (map[string]int, error) {
	defined := slices.Clone(r.Tool.Driver.Rules)
	for _, extension := range r.Tool.Extensions {
		defined = append(defined, extension.Rules...)
	}
	if len(defined) > maxRules {
		return nil, fmt.Errorf("it has %d rules; %d are allowed", len(defined), maxRules)
	}
	places := make(map[string]int, len(defined))
	for i, rule := range defined {
		if err := rule.check(); err != nil {
			return nil, fmt.Errorf("rule %d (%s): %w", i, rule.ID, err)
		}
		if _, twice := places[rule.ID]; twice {
			return nil, fmt.Errorf("rule %d (%s): it is defined twice", i, rule.ID)
		}
		places[rule.ID] = i
	}
	return places, nil
}

func (r rule) check() error {
	switch {
	case r.ID == "":
		return errors.New("it has no id")
	case len(r.Properties.Tags) > maxTags:
		return fmt.Errorf("it has %d tags; %d are allowed", len(r.Properties.Tags), maxTags)
	case utf8.RuneCountInString(r.Name) > maxName:
		return fmt.Errorf("its name is longer than %d characters", maxName)
	case utf8.RuneCountInString(r.ShortDescription.Text) > maxDescription, utf8.RuneCountInString(r.FullDescription.Text) > maxDescription:
		return fmt.Errorf("a description is longer than %d characters", maxDescription)
	}
	return nil
}

func (r result) check(rules map[string]int) error {
	place, defined := rules[r.RuleID]
	switch {
	case !defined:
		return errors.New("no rule has this ruleId")
	case r.RuleIndex != nil && *r.RuleIndex != place:
		return fmt.Errorf("ruleIndex is %d, but the rule is at %d", *r.RuleIndex, place)
	case r.Message.Text == "":
		return errors.New("it has no message")
	case r.PartialFingerprints[fingerprint] == "":
		return fmt.Errorf("partialFingerprints has no %s", fingerprint)
	case len(r.Locations) == 0 || len(r.Locations) > maxLocations:
		return fmt.Errorf("it has %d locations; 1 to %d are allowed", len(r.Locations), maxLocations)
	case r.flow() > maxFlow:
		return fmt.Errorf("its code flows have %d locations; %d are allowed", r.flow(), maxFlow)
	}
	for _, location := range r.Locations {
		if err := location.check(); err != nil {
			return err
		}
	}
	return nil
}

func (r result) flow() (locations int) {
	for _, flow := range r.CodeFlows {
		for _, thread := range flow.ThreadFlows {
			locations += len(thread.Locations)
		}
	}
	return locations
}

func (l location) check() error {
	place := l.PhysicalLocation
	uri := place.ArtifactLocation.URI
	parsed, err := url.Parse(uri)
	switch {
	case uri == "" || err != nil || parsed.IsAbs() || strings.HasPrefix(uri, "/") || slices.Contains(strings.Split(uri, "/"), ".."):
		return fmt.Errorf("the location %q is not a URI relative to the repository", uri)
	case place.Region == nil || place.Region.StartLine < 1:
		return fmt.Errorf("the location %q has no region", uri)
	}
	return nil
}
