package learn

import "slices"

// Makespan is how long work takes that begins in its order, each as soon as one of so many machines is free. Times are seconds.
func Makespan(seconds []float64, machines int) float64 {
	free := make([]float64, max(1, min(machines, len(seconds))))
	for _, s := range seconds {
		next := slices.Index(free, slices.Min(free))
		free[next] += s
	}
	return slices.Max(free)
}
