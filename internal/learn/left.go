package learn

// Left tells how many seconds are left of what has taken some already: of builds that took as long as this one has by now, half are done by
// then. False where that is longer than nearly all took, so that nobody can tell.
func (e Expectation) Left(taken float64) (seconds float64, known bool) {
	if !e.Known() || taken >= e.High {
		return 0, false
	}
	return max(0, e.at((1+e.share(taken))/2)-taken), true
}

// knots are what is known of how long builds take: the shares of them that take no longer. Between them, and a little beyond, it is taken
// to go straight.
func (e Expectation) knots() (seconds, shares [4]float64) {
	return [4]float64{0, e.Low, e.Seconds, e.High}, [4]float64{0, 0.1, 0.5, 0.9}
}

// share is that of builds which take no longer than some seconds, which are less than High.
func (e Expectation) share(taken float64) float64 {
	seconds, shares := e.knots()
	for i := 1; i < len(seconds); i++ {
		if width := seconds[i] - seconds[i-1]; taken < seconds[i] && width > 0 {
			return shares[i-1] + (shares[i]-shares[i-1])*(taken-seconds[i-1])/width
		}
	}
	return shares[len(shares)-1]
}

// at is how long a share of builds takes at most.
func (e Expectation) at(share float64) float64 {
	seconds, shares := e.knots()
	i := 1
	for i < len(shares)-1 && share > shares[i] {
		i++
	}
	return seconds[i-1] + (seconds[i]-seconds[i-1])*(share-shares[i-1])/(shares[i]-shares[i-1])
}
