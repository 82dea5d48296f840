package service

import (
	"fmt"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"go.yaml.in/yaml/v3"
)

// A Mirror is another registry that has the images, too.
type Mirror struct {
	At       string
	Image    string // what an image is called there; {{name}} stands for its own name, without registry and owner
	Username string
	Password string // a secret
	// PlainHTTP speaks HTTP without TLS. Loopback hosts are spoken to so in any case.
	PlainHTTP bool
}

const ownName = "{{name}}"

// Of is what the mirror calls a service's image.
func (m Mirror) Of(s Service) string {
	_, path, _ := strings.Cut(s.Image, "/")
	if _, own, owned := strings.Cut(path, "/"); owned {
		path = own
	}
	return strings.ReplaceAll(m.Image, ownName, path)
}

// Host is the mirror's registry.
func (m Mirror) Host() string {
	host, _, _ := strings.Cut(m.Image, "/")
	return host
}

func (r reader) mirrors(into *[]Mirror) field {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
			r.add(n, "write each as `- image: "+mirrorExample+"`", "mirrors must be a list of at least one")
			return
		}
		for _, item := range n.Content {
			*into = append(*into, r.mirror(item))
		}
	}
}

var mirrorExample = path.Join("docker.io", "owner", ownName)

func (r reader) mirror(n *yaml.Node) Mirror {
	m := Mirror{At: r.where(n)}
	r.mapping(n, map[string]field{"image": r.text(&m.Image), "username": r.text(&m.Username), "password": r.secretPlace(&m.Password), "plain_http": r.boolean(&m.PlainHTTP)})
	switch host, _, nested := strings.Cut(m.Image, "/"); {
	case n.Kind != yaml.MappingNode:
	case m.Image == "":
		r.add(n, "add `image: "+mirrorExample+"`", "a mirror has no image")
	case !nested || !strings.ContainsAny(host, ".:") && host != "localhost":
		r.add(n, "write it as "+mirrorExample, "%q does not begin with a registry", m.Image)
	case (m.Username == "") != (m.Password == ""):
		r.add(n, "give both, or none", "username and password belong together")
	}
	return m
}

// checkMirrors proves what mirrors call the images of services: each is another name.
func checkMirrors(config Config, problems *Problems) {
	taken := map[string]string{} // by what
	for _, s := range config.Services {
		taken[canonical(s.Image)] = fmt.Sprintf("the image of %s itself", s.Name)
	}
	for _, m := range config.Mirrors {
		for _, s := range config.Services {
			image := m.Of(s)
			if ref, err := name.NewRepository(image, name.StrictValidation); err != nil || !imagePath.MatchString(ref.RepositoryStr()) {
				problems.Add(m.At, "use lower-case letters, digits and . _ - between slashes, and "+ownName, "%q is no image name", image)
				break // nor are those of other services
			}
			if by, twice := taken[canonical(image)]; twice {
				problems.Add(m.At, "give each its own, with "+ownName+" where there are several services", "%s is %s", image, by)
				continue
			}
			taken[canonical(image)] = fmt.Sprintf("the copy of %s already", s.Name)
		}
	}
}

// canonical is an image's name as it is resolved: docker.io has another one, too.
func canonical(image string) string {
	if ref, err := name.NewRepository(image); err == nil {
		return ref.Name()
	}
	return image
}
