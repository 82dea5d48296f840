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
}

// networked gives the images of one lot of work a private network to be tried out in. It is made when the first image needs it, or while images are built
// where some are; leave begins to take it away, which Close waits for.
func (s *session) networked(ctx context.Context, builds bool) (leave func()) {
	if s.noEngine != nil {
		return func() {}
	}
	var made *engine.Network
	s.networks = sync.OnceValue(func() (at []engine.Attachment) {
		made, at = s.makeNetwork(ctx)
		return at
	})
	var making sync.WaitGroup
	if builds {
		making.Go(func() { s.networks() })
	}
	return func() {
		making.Wait()
		if made == nil {
			return
		}
		s.leaving.Go(func() {
			if err := made.Remove(); err != nil {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.remained = append(s.remained, err)
			}
		})
	}
}

// makeNetwork makes a private network. Images join the job's too, where services of the job are.
func (s *session) makeNetwork(ctx context.Context) (*engine.Network, []engine.Attachment) {
	var at []engine.Attachment
	if s.place.Network != "" {
		at = append(at, engine.Attachment{Network: s.place.Network, Shared: true})
	}
	network, err := s.engine.NewNetwork(ctx, s.place.Container)
	if err != nil {
		s.log.Printf("images are tried out without a network of their own: %v", err)
		return nil, at
	}
	return network, append([]engine.Attachment{{Network: network.Name, Shared: s.place.Container != ""}}, at...)
}
