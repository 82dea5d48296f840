package deploy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"
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
	// margin is how long before it runs out it is given up, for what goes on under it to have ended by then.
	margin = lease / 4
	// patience is how long one attempt to renew it may take, for others to follow before it is given up.
	patience = lease / 6
	// respite is between two of these.
	respite = time.Second
)

// A Lock keeps other deployments of a project away from a host.
type Lock struct {
	host  Host
	name  string          // of the note that is the lock at this moment
	until time.Time       // when it is given up unless it is renewed, by the clock of this machine
	held  context.Context // ends once the lock is lost, with that as its cause
	stop  func()
}

// Lock waits until no other deployment of the project is under way on the host, as long as one may take. Whoever wants the lock writes that down
// before he looks whether another does, so of two at least one sees the other.
func (h Host) Lock(ctx context.Context) (*Lock, error) {
	l, told := &Lock{host: h}, ""
	for end := time.Now().Add(h.Wait); ; {
		holder, err := l.try(ctx)
		if err == nil && holder == "" {
			l.renew(ctx, renewal, l.again)
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
	if err := l.claim(ctx, settling); err != nil {
		if l.name != "" {
			err = errors.Join(err, l.drop(ctx, settling))
		}
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
	if err = errors.Join(err, l.drop(ctx, settling)); err != nil {
		return "", err
	}
	return live[0].Labels[byKey], nil
}

// claim writes down that the lock is held from now on. It is not interrupted: nobody would know what to take away again.
func (l *Lock) claim(ctx context.Context, most time.Duration) error {
	l.name = ""
	ctx, cancel := aside(ctx, most)
	defer cancel()
	until := time.Now().Add(lease - margin)
	at, err := l.host.Engine.Clock(ctx)
	if err != nil {
		return err
	}
	n := engine.Note{Name: fmt.Sprintf("ghcr-publish.%s.lock.%s", l.host.Project, strings.ToLower(rand.Text())),
		Labels: map[string]string{projectKey: l.host.Project, kindKey: "lock", byKey: l.host.By, untilKey: at.Add(lease).Format(time.RFC3339Nano)}}
	l.name = n.Name // it may be there also where nobody said so
	if err := l.host.Engine.WriteNote(ctx, n); err != nil {
		return err
	}
	l.until = until
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

// renew keeps the lock until it is given back, or lost, by what renews it once.
func (l *Lock) renew(ctx context.Context, every time.Duration, again func(context.Context) (renewed bool, lost error)) {
	ctx = context.WithoutCancel(ctx)
	held, lose := context.WithCancelCause(ctx)
	going, stop := context.WithCancel(held)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		for wait := every; ; {
			select {
			case <-going.Done():
				return
			case <-time.After(min(wait, time.Until(l.until))):
			}
			renewed, lost := again(ctx)
			if lost != nil {
				lose(fmt.Errorf("the lock on the Docker host was lost, so another deployment of %s may be under way there: %w; once nobody else deploys, start this one again", l.host.Project, lost))
				return
			}
			if wait = every; !renewed {
				wait = min(every, respite)
			}
		}
	})
	l.held, l.stop = held, func() { stop(); renewing.Wait() }
}

// again renews the lock, and returns why it is lost if it is. That nobody had it meanwhile is sure where the note that it was until now still is
// there, and holds, once there is the next.
func (l *Lock) again(ctx context.Context) (renewed bool, lost error) {
	most := min(patience, time.Until(l.until))
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	next, live := &Lock{host: l.host}, []engine.Note(nil)
	err := next.claim(ctx, most)
	if err == nil {
		live, _, err = l.host.locks(ctx, next.name)
	}
	if err != nil {
		return false, l.missed(ctx, next, err)
	}
	if !slices.ContainsFunc(live, func(n engine.Note) bool { return n.Name == l.name }) {
		lost = errors.New("it ran out there, or was taken away")
	}
	_ = l.drop(ctx, patience)
	l.name, l.until = next.name, next.until
	return true, lost
}

// missed takes away what an attempt to renew the lock has left, which would keep others waiting, and returns why the lock is lost if it was the last.
func (l *Lock) missed(ctx context.Context, next *Lock, err error) error {
	if next.name != "" {
		_ = next.drop(ctx, respite)
	}
	if time.Now().Before(l.until) {
		return nil // the next makes up for it
	}
	return fmt.Errorf("it could not be renewed in time: %w", err)
}

// lost is why the lock is lost; nil while it is held.
func (l *Lock) lost() error { return context.Cause(l.held) }

// during is a context that ends with the lock, too.
func (l *Lock) during(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.held, func() { cancel(l.lost()) })
	return ctx, func() { stop(); cancel(nil) }
}

// Release gives the lock back, also when the run's context has ended.
func (l *Lock) Release() error {
	l.stop()
	return l.drop(context.Background(), settling)
}

// drop takes the lock's note away.
func (l *Lock) drop(ctx context.Context, most time.Duration) error {
	ctx, cancel := aside(ctx, most)
	defer cancel()
	return l.host.Engine.RemoveNote(ctx, l.name)
}
