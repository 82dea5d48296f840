package learn

import (
	"cmp"
	"math"
	"slices"
)

// Makespan is how long work takes that begins in its order, each as soon as one of so many machines is free. Times are seconds.
func Makespan(seconds []float64, machines int) float64 {
	free := make([]float64, max(1, min(machines, len(seconds))))
	for _, s := range seconds {
		next := slices.Index(free, slices.Min(free))
		free[next] += s
	}
	return slices.Max(free)
}

// A Piece is something that a run did for one service, or for some of its platforms by themselves. Times are seconds.
type Piece struct {
	Of      string // whom it was done for; their pieces are done one after the other
	Turn    string // pieces of one turn are as many at a time as the run allows; those of different turns do not wait for one another
	Start   float64
	Seconds float64
}

// A Schedule is how a run packed its work. Times are seconds, as things took in that run: what they would have taken with less beside them nobody knows.
//
// Least is a bound below which no order of the same work comes. It is the larger of two. One is the longest of what is done one after the other: all that is
// done for one service, after whatever images it is made from. The other is the time in which the pieces of a turn are done if at every moment as many are at
// work as may be, which is their sum over that number, with the least that comes before the first of them, and after the last.
//
// Efficiency is Least over Seconds, from 0 to 1. At 1 nothing was to be won by another order, nor by beginning anything sooner; what is missing to 1 was
// waiting, at least some of which another order may spare. It says nothing of how long the work itself took, and more at a time might end it sooner all the same.
type Schedule struct {
	Parallel int     `json:"parallel"` // that may be at work at a time, or were, where that is more
	Seconds  float64 `json:"seconds"`  // from when the first began until the last was done
	Work     float64 `json:"work"`     // of all pieces, one after the other
	Least    float64 `json:"least"`
}

// Efficiency is how near a run came to the least that its work can take.
func (s Schedule) Efficiency() float64 { return s.Least / s.Seconds }

// Known reports whether there is a schedule that a run may have had.
func (s Schedule) Known() bool {
	return s.Parallel > 0 && s.Least > 0 && s.Least <= s.Seconds && s.Work >= s.Least && s.Seconds < mostScheduled
}

// mostScheduled is longer than any run, in seconds.
const mostScheduled = 1e8

// Pack tells how pieces of work were packed, so many of a turn at a time; after names by whom something was done for those whose images that takes. What is
// done for one alone cannot be packed, and has no schedule.
func Pack(pieces []Piece, after map[string][]string, parallel int) (s Schedule) {
	byOwner, byTurn := map[string][]Piece{}, map[string][]Piece{}
	first, last := 0.0, 0.0
	for i, p := range pieces {
		if i == 0 || p.Start < first {
			first = p.Start
		}
		last = max(last, p.Start+p.Seconds)
		s.Work += p.Seconds
		byOwner[p.Of], byTurn[p.Turn] = append(byOwner[p.Of], p), append(byTurn[p.Turn], p)
	}
	if len(byOwner) < 2 {
		return Schedule{}
	}
	s.Parallel, s.Seconds = parallel, last-first
	for _, turn := range byTurn {
		s.Parallel = max(s.Parallel, atOnce(turn))
	}
	for _, turn := range byTurn {
		s.Least = max(s.Least, least(turn, byOwner, head)+total(turn)/float64(s.Parallel)+least(turn, byOwner, tail))
	}
	chain := chains{byOwner, after, map[string]float64{}}
	for of := range byOwner {
		s.Least = max(s.Least, chain.before(of)+total(byOwner[of]))
	}
	s.Least = min(s.Least, s.Seconds, s.Work) // it is never more, but for how numbers are rounded
	return s
}

func total(pieces []Piece) (sum float64) {
	for _, p := range pieces {
		sum += p.Seconds
	}
	return sum
}

// least is the smallest of what comes beside pieces.
func least(turn []Piece, byOwner map[string][]Piece, beside func(Piece, []Piece) float64) float64 {
	smallest := math.Inf(1)
	for _, p := range turn {
		smallest = min(smallest, beside(p, byOwner[p.Of]))
	}
	return smallest
}

// head is what is done for whom a piece is for before it, and tail after it.
func head(p Piece, own []Piece) (sum float64) {
	for _, other := range own {
		if other.Start < p.Start {
			sum += other.Seconds
		}
	}
	return sum
}

func tail(p Piece, own []Piece) (sum float64) {
	for _, other := range own {
		if other.Start > p.Start {
			sum += other.Seconds
		}
	}
	return sum
}

// atOnce is how many pieces there were at most at the same time.
func atOnce(pieces []Piece) (most int) {
	type moment struct {
		at    float64
		delta int
	}
	var moments []moment
	for _, p := range pieces {
		moments = append(moments, moment{p.Start, 1}, moment{p.Start + p.Seconds, -1})
	}
	slices.SortFunc(moments, func(a, b moment) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.delta, b.delta)) })
	now := 0
	for _, m := range moments {
		now += m.delta
		most = max(most, now)
	}
	return most
}

// chains are what has to be done before something else can begin.
type chains struct {
	pieces map[string][]Piece
	after  map[string][]string
	known  map[string]float64
}

// before is how long it takes at least until somebody's first piece can begin: whoever it is made from has an image once their own first piece is done.
func (c chains) before(of string) float64 {
	if seconds, known := c.known[of]; known {
		return seconds
	}
	c.known[of] = 0 // also of one that is made from itself, which nothing is
	longest := 0.0
	for _, base := range c.after[of] {
		if pieces := c.pieces[base]; len(pieces) > 0 {
			earliest := slices.MinFunc(pieces, func(a, b Piece) int { return cmp.Compare(a.Start, b.Start) })
			longest = max(longest, c.before(base)+earliest.Seconds)
		}
	}
	c.known[of] = longest
	return longest
}
