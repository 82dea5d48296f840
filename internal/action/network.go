package action

import (
	"context"
	"sync"

	"github.com/org/ghcr-publish/internal/engine"
)

// settle finds out where this program runs, and with that where images are to be tried out.
func (s *session) settle(ctx context.Context) {
	var err error
	if s.place, err = s.engine.Place(ctx, s.process.Getenv("HOSTNAME")); err != nil {
		s.log.Printf("%v", err)
	}
	s.engine.Self = s.place.Container
	s.networks = sync.OnceValue(func() engine.Networks { return s.makeNetwork(ctx) })
}

// makeNetwork makes the run's private network. Images join the job's too, where services of the job are.
func (s *session) makeNetwork(ctx context.Context) engine.Networks {
	var at engine.Networks
	if s.place.Network != "" {
		at = engine.Networks{Names: []string{s.place.Network}, Shared: s.place.Network}
	}
	network, err := s.engine.NewNetwork(ctx)
	if err != nil {
		s.log.Printf("images are tried out without a network of their own: %v", err)
		return at
	}
	s.network = network
	at.Names = append([]string{network.Name}, at.Names...)
	if s.place.Container != "" {
		at.Shared = network.Name
	}
	return at
}
