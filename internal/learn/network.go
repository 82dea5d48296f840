package learn

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/optimize"
)

const (
	hidden = 3    // neurons between what is known and what is told
	decay  = 0.05 // by which weights are kept small
	rounds = 25   // of training
)

// A perceptron is a network of one hidden layer. Its weights are those of each hidden neuron, one for each column and its bias, and then
// those of the neuron that tells.
type perceptron struct {
	sample
	columns  int
	activity [hidden]float64
}

// network trains a small neural network, from the same weights each time.
func network(past []row) predictor {
	p := &perceptron{sample: newSample(past)}
	p.columns = len(p.meanX)
	begin := make([]float64, hidden*(p.columns+1)+hidden)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range begin {
		begin[i] = random.NormFloat64() / math.Sqrt(float64(p.columns+1))
	}
	problem := optimize.Problem{Func: p.loss, Grad: p.gradient}
	// Where it does not come to an end in so many rounds, what it came to is good enough to compete.
	trained, _ := optimize.Minimize(problem, begin, &optimize.Settings{MajorIterations: rounds}, &optimize.LBFGS{})
	if trained == nil {
		return always(p.meanY)
	}
	return func(next row) float64 {
		return p.meanY + p.tell(trained.X, p.of(next))
	}
}

// tell is what the network says of one build.
func (p *perceptron) tell(weights, x []float64) float64 {
	out := 0.0
	for h := range hidden {
		in := weights[h*(p.columns+1):][:p.columns+1]
		p.activity[h] = math.Tanh(floats.Dot(in[:p.columns], x) + in[p.columns])
		out += weights[hidden*(p.columns+1)+h] * p.activity[h]
	}
	return out
}

func (p *perceptron) loss(weights []float64) float64 {
	sum := decay * floats.Dot(weights, weights)
	for i, x := range p.x {
		miss := p.tell(weights, x) - p.y[i]
		sum += miss * miss
	}
	return sum / 2
}

func (p *perceptron) gradient(grad, weights []float64) {
	floats.ScaleTo(grad, decay, weights)
	outer := hidden * (p.columns + 1)
	for i, x := range p.x {
		miss := p.tell(weights, x) - p.y[i]
		for h, a := range p.activity {
			grad[outer+h] += miss * a
			back := miss * weights[outer+h] * (1 - a*a)
			in := grad[h*(p.columns+1):][:p.columns+1]
			floats.AddScaled(in[:p.columns], back, x)
			in[p.columns] += back
		}
	}
}
