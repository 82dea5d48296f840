package deploy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/org/ghcr-publish/internal/engine"
)

const (
	// lease is how long a lock holds that nobody renews: the next deployment waits so long at most for one that was killed.
	lease = time.Minute
	// renewal is how often it is renewed.
	renewal = lease / 4
)

// A Lock keeps other deployments of a project away from a host.
type Lock struct {
	host Host
	name string // of the note that is the lock at this moment
	stop func()
}

// Lock waits until no other deployment of the project is under way on the host, as long as one may take. Whoever wants the lock writes that down
// before he looks whether another does, so of two at least one sees the other.
func (h Host) Lock(ctx context.Context) (*Lock, error) {
	l, told := &Lock{host: h}, ""
	for end := time.Now().Add(h.Wait); ; {
		holder, err := l.try(ctx)
		if err == nil && holder == "" {
			l.renew(ctx, renewal)
			return l, nil
		}
		if err == nil && time.Now().After(end) {
			err = fmt.Errorf("another deployment of %s goes on there, by %s, and did so for %s", h.Project, holder, h.Wait)
		}
		if err != nil {
			return nil, fmt.Errorf("locking the Docker host: %w", err)
		}
		if holder != told {
			told = holder
			h.Tell("waiting for another deployment of %s, by %s", h.Project, holder)
		}
		if err := pause(ctx, h.Every); err != nil {
			return nil, err
		}
	}
}

// pause waits for about so long. Two who have seen one another do not look again at the same time.
func pause(ctx context.Context, about time.Duration) error {
	more, err := rand.Int(rand.Reader, big.NewInt(int64(about)))
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(about + time.Duration(more.Int64())):
		return nil
	}
}

// try takes the lock unless another has it, who is returned.
func (l *Lock) try(ctx context.Context) (holder string, err error) {
	if err := l.claim(ctx); err != nil {
		return "", err
	}
	live, left, err := l.host.locks(ctx, l.name)
	if err == nil && len(live) == 0 {
		for _, n := range left {
			err = errors.Join(err, l.host.Engine.RemoveNote(ctx, n.Name))
		}
	}
	if err == nil && len(live) == 0 {
		return "", nil
	}
	if err = errors.Join(err, l.drop(ctx)); err != nil {
		return "", err
	}
	return live[0].Labels[byKey], nil
}

// claim writes down that the lock is held from now on. It is not interrupted: nobody would know what to take away again.
func (l *Lock) claim(ctx context.Context) error {
	ctx, cancel := aside(ctx, settling)
	defer cancel()
	at, err := l.host.Engine.Clock(ctx)
	if err != nil {
		return err
	}
	n := engine.Note{Name: fmt.Sprintf("ghcr-publish.%s.lock.%s", l.host.Project, strings.ToLower(rand.Text())),
		Labels: map[string]string{projectKey: l.host.Project, kindKey: "lock", byKey: l.host.By, untilKey: at.Add(lease).Format(time.RFC3339Nano)}}
	if err := l.host.Engine.WriteNote(ctx, n); err != nil {
		return err
	}
	l.name = n.Name
	return nil
}

// locks are those of others that hold, and those that were not given back.
func (h Host) locks(ctx context.Context, own string) (live, left []engine.Note, err error) {
	notes, err := h.Engine.Notes(ctx, map[string]string{projectKey: h.Project, kindKey: "lock"})
	if err != nil {
		return nil, nil, err
	}
	now, err := h.Engine.Clock(ctx)
	for _, n := range notes {
		switch until, bad := time.Parse(time.RFC3339Nano, n.Labels[untilKey]); {
		case n.Name == own:
		case bad == nil && until.After(now):
			live = append(live, n)
		default:
			left = append(left, n)
		}
	}
	return live, left, err
}

// renew keeps the lock until it is given back. A renewal that fails is made up for by the next.
func (l *Lock) renew(ctx context.Context, every time.Duration) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var renewing sync.WaitGroup
	renewing.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(every):
			}
			old := Lock{host: l.host, name: l.name}
			if l.claim(ctx) == nil {
				_ = old.drop(ctx)
			}
		}
	})
	l.stop = func() { cancel(); renewing.Wait() }
}

// Release gives the lock back, also when the run's context has ended.
func (l *Lock) Release() error {
	l.stop()
	return l.drop(context.Background())
}

// drop takes the lock's note away.
func (l *Lock) drop(ctx context.Context) error {
	ctx, cancel := aside(ctx, settling)
	defer cancel()
	return l.host.Engine.RemoveNote(ctx, l.name)
}
