package action

import (
	"context"
	"sync"
	"time"

	"github.com/org/ghcr-publish/internal/engine"
)

// peerTime is how long what an image has beside it may take to be up: a database that sets itself up, on a busy machine.
const peerTime = 3 * time.Minute

// settle finds out where this program runs, and with that where images are to be tried out.
func (s *session) settle(ctx context.Context) {
	var err error
	if s.place, err = s.engine.Place(ctx, s.process.Getenv("HOSTNAME")); err != nil {
		s.log.Printf("%v", err)
	}
	s.engine.Self = s.place.Container
	s.networks = sync.OnceValue(func() []engine.Attachment { return s.makeNetwork(ctx) })
}

// makeNetwork makes the run's private network. Images join the job's too, where services of the job are.
func (s *session) makeNetwork(ctx context.Context) []engine.Attachment {
	var at []engine.Attachment
	if s.place.Network != "" {
		at = append(at, engine.Attachment{Network: s.place.Network, Shared: true})
	}
	network, err := s.engine.NewNetwork(ctx, s.place.Container)
	if err != nil {
		s.log.Printf("images are tried out without a network of their own: %v", err)
		return at
	}
	s.network = network
	return append([]engine.Attachment{{Network: network.Name, Shared: s.place.Container != ""}}, at...)
}
