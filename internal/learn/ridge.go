package learn

import (
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// shrink is how much a coefficient must explain to be more than nothing. It is told in builds: with so many of a kind, half of what they
// have in common is believed.
const shrink = 1

// ridge explains builds by a factor for each thing that is known of them.
func ridge(past []row) predictor {
	s := newSample(past)
	d := len(s.meanX)
	columns := mat.NewDense(len(s.x), d, nil)
	for i, row := range s.x {
		columns.SetRow(i, row)
	}
	var gram mat.SymDense
	gram.SymOuterK(1, columns.T())
	for j := range d {
		gram.SetSym(j, j, gram.At(j, j)+shrink)
	}
	var products, weights mat.VecDense
	products.MulVec(columns.T(), mat.NewVecDense(len(s.y), s.y))
	var cholesky mat.Cholesky
	if !cholesky.Factorize(&gram) || cholesky.SolveVecTo(&weights, &products) != nil {
		return always(s.meanY)
	}
	return func(next row) float64 {
		return s.meanY + floats.Dot(s.of(next), weights.RawVector().Data)
	}
}
