package learn

// A Cost is how many seconds the instructions of a service's build for one platform took lately, one after the other: on a machine of that platform, and on
// another by emulation. What nobody has tried is 0.
type Cost struct{ Native, Emulated float64 }
