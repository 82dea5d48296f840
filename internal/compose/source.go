package compose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"
)

// Pin puts the published images into a Compose file: of their services `image` is set, and what would build them is taken out. All
// else stays as it is, comments too.
func (p Project) Pin(ctx context.Context, source []byte) (File, error) {
	root, err := parse(source)
	if err != nil {
		return File{}, err
	}
	services := lookup(root, "services")
	if services == nil || services.Kind != yaml.MappingNode {
		return File{}, errors.New("it has no services")
	}
	var missing []string
	for _, i := range p.Images {
		if p.pin(services, i) == 0 {
			missing = append(missing, fmt.Sprintf("%s is no service of %s, so its image is not in the Compose file.", i.Service.Name, p.Wanted.From))
		}
	}
	if len(missing) == len(p.Images) {
		return File{}, fmt.Errorf("none of what is published is a service there: neither by its name nor by its image")
	}
	text, err := encode(root)
	if err != nil {
		return File{}, err
	}
	f, err := finish(ctx, text, nil)
	f.Notices = missing
	return f, err
}

// parse reads the one document of a file.
func parse(source []byte) (*yaml.Node, error) {
	var root, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(source))
	if err := decoder.Decode(&root); err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("it has more than one YAML document")
	}
	plain(&root, false)
	return &root, nil
}

// plain has it written as it is read: << is what it means to the reader, and no tag; and nothing within braces is told from an empty text.
func plain(n *yaml.Node, braces bool) {
	switch {
	case n.Tag == "!!merge":
		n.Tag = ""
	case n.Tag == "!!null" && n.Value == "" && braces:
		n.Value = "null"
	}
	for _, child := range n.Content {
		plain(child, braces || n.Style&yaml.FlowStyle != 0)
	}
}

// lookup finds the value of a key; nil where there is none.
func lookup(n *yaml.Node, key string) *yaml.Node {
	if n.Kind == yaml.DocumentNode {
		n = n.Content[0]
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// pin sets an image wherever it belongs, and tells how often that was: in services that have it already, and in the one of the name
// unless that has another one that is ours.
func (p Project) pin(services *yaml.Node, image Image) (set int) {
	for k := 0; k+1 < len(services.Content); k += 2 {
		name, definition := services.Content[k].Value, services.Content[k+1]
		if p.owner(name, definition) != image.Service.Name {
			continue
		}
		if definition.Kind == yaml.AliasNode {
			definition = copied(definition.Alias)
			services.Content[k+1] = definition
		}
		setImage(definition, image.pinned())
		set++
	}
	return set
}

// owner names the service whose image a service of the file has; empty where none has.
func (p Project) owner(name string, definition *yaml.Node) string {
	if definition.Kind == yaml.AliasNode {
		definition = definition.Alias
	}
	if definition.Kind != yaml.MappingNode {
		return ""
	}
	if image := inherited(definition, "image"); image != nil {
		for _, i := range p.Images {
			if own := repository(image.Value); own == i.Service.Image || own == i.Mirrored {
				return i.Service.Name
			}
		}
	}
	for _, i := range p.Images {
		if strings.ReplaceAll(name, ".", "_") == i.Service.Name || name == i.Service.Name {
			return i.Service.Name
		}
	}
	return ""
}

// repository is an image's name without tag and digest, which may hold variables.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if slash := strings.LastIndex(image, "/"); slash >= 0 {
		before, _, _ := strings.Cut(image[slash:], ":")
		return image[:slash] + before
	}
	image, _, _ = strings.Cut(image, ":")
	return image
}

// built are the keys that say how an image comes about that is published now.
var built = [...]string{"image", "build", "pull_policy"}

func setImage(definition *yaml.Node, image yaml.Node) {
	inline(definition)
	key, at := &yaml.Node{Kind: yaml.ScalarNode, Value: "image"}, 0 // where the first of them was
	var kept []*yaml.Node
	for i := 0; i+1 < len(definition.Content); i += 2 {
		was := definition.Content[i]
		if !slices.Contains(built[:], was.Value) {
			kept = append(kept, was, definition.Content[i+1])
			continue
		}
		at = len(kept)
		key.HeadComment, key.FootComment = joined(key.HeadComment, was.HeadComment), joined(key.FootComment, was.FootComment)
	}
	definition.Content = slices.Insert(kept, at, key, &image)
}

func joined(a, b string) string { return strings.Trim(a+"\n"+b, "\n") }

const merge = "<<"

// inherited finds the value of a key, also where another mapping is merged in that has it; nil where there is none.
func inherited(n *yaml.Node, key string) *yaml.Node {
	if found := lookup(n, key); found != nil {
		return found
	}
	for _, from := range merges(lookup(n, merge)) {
		if found := inherited(from, key); found != nil {
			return found
		}
	}
	return nil
}

// merges are the mappings that the value of << stands for.
func merges(n *yaml.Node) []*yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.AliasNode:
		return []*yaml.Node{n.Alias}
	case n.Kind == yaml.SequenceNode:
		var all []*yaml.Node
		for _, item := range n.Content {
			all = append(all, merges(item)...)
		}
		return all
	default:
		return []*yaml.Node{n}
	}
}

// inline writes out what is merged in, where that would build the image.
func inline(definition *yaml.Node) {
	from := merges(lookup(definition, merge))
	builds := func(n *yaml.Node) bool { return inherited(n, "build") != nil || inherited(n, "pull_policy") != nil }
	if !slices.ContainsFunc(from, builds) {
		return
	}
	for i := 0; i+1 < len(definition.Content); i += 2 {
		if definition.Content[i].Value == merge {
			definition.Content = slices.Delete(definition.Content, i, i+2)
			break
		}
	}
	for _, n := range from {
		own := copied(n)
		inline(own)
		for i := 0; i+1 < len(own.Content); i += 2 {
			if lookup(definition, own.Content[i].Value) == nil {
				definition.Content = append(definition.Content, own.Content[i], own.Content[i+1])
			}
		}
	}
}

// copied is a node of its own, without the name that others call it by.
func copied(n *yaml.Node) *yaml.Node {
	c := *n
	c.Anchor, c.Content = "", nil
	for _, child := range n.Content {
		if child.Kind != yaml.AliasNode {
			child = copied(child)
		}
		c.Content = append(c.Content, child)
	}
	return &c
}

// Check holds a Compose file against the schema, as far as that can be done without what it takes in and is filled in with.
func Check(ctx context.Context, source []byte) error {
	if _, err := parse(source); err != nil {
		return err
	}
	return check(ctx, source)
}

func check(ctx context.Context, text []byte) error {
	details := types.ConfigDetails{WorkingDir: "/", ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: text}}}
	_, err := loader.LoadModelWithContext(ctx, details, func(o *loader.Options) {
		o.SetProjectName("project", true)
		o.SkipInterpolation, o.SkipExtends, o.SkipInclude, o.SkipResolveEnvironment, o.ResolvePaths = true, true, true, true, false
	})
	return err
}
