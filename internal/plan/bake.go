package plan

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A BakeFile tells docker buildx bake the tags, labels and annotations of a plan, in the form that docker/metadata-action
// writes: targets to inherit from. https://github.com/docker/metadata-action#bake-definition
type BakeFile struct {
	Target map[string]BakeTarget `json:"target"`
}

// A BakeTarget is one service of a BakeFile.
type BakeTarget struct {
	Tags        []string          `json:"tags"`
	Labels      map[string]string `json:"labels"`
	Annotations []string          `json:"annotations"` // as LEVEL:KEY=VALUE
	Args        map[string]string `json:"args"`
}

// bakeTarget is what the only target is called, and what the names of several begin with.
const bakeTarget = "docker-metadata-action"

// Bake writes the plan for bake, with each annotation once for each of its levels.
func (p Plan) Bake(levels []string) BakeFile {
	file := BakeFile{Target: map[string]BakeTarget{}}
	for _, s := range p.Services {
		name := bakeTarget
		if len(p.Services) > 1 {
			name = file.free(bakeTarget + "-" + unfit.ReplaceAllString(s.Name, "-"))
		}
		file.Target[name] = s.bake(levels)
	}
	return file
}

// unfit is what no target's name may hold.
var unfit = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// free numbers a name that another service has already: a.b and a-b are two services, and would be one target.
func (f BakeFile) free(name string) string {
	free := name
	for n := 2; ; n++ {
		if _, taken := f.Target[free]; !taken {
			return free
		}
		free = fmt.Sprintf("%s-%d", name, n)
	}
}

func (s Service) bake(levels []string) BakeTarget {
	target := BakeTarget{Tags: s.Tags, Labels: map[string]string{}, Annotations: []string{},
		Args: map[string]string{"DOCKER_META_IMAGES": s.Image, "DOCKER_META_VERSION": s.Version}}
	for key, value := range s.Labels {
		target.Labels[literal(key)] = literal(value)
	}
	for _, level := range levels {
		for _, key := range slices.Sorted(maps.Keys(s.Annotations)) {
			if key != InputsKey && key != BasesKey { // which only this program's own builds may claim
				target.Annotations = append(target.Annotations, literal(level+":"+key+"="+s.Annotations[key]))
			}
		}
	}
	return target
}

// literal writes what bake would take for the beginning of an expression as text.
// https://github.com/hashicorp/hcl/blob/main/json/spec.md#strings
func literal(text string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(text)
}
