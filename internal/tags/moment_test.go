package tags

import (
	"testing"
	"time"
)

// TestFormatMoment has the examples of https://momentjs.com/docs/#/displaying/format/, and the borders of each token.
func TestFormatMoment(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		parsed, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	afternoon, midnight, noon := at("2010-02-14T15:25:50.125Z"), at("2024-12-30T00:05:09Z"), at("2021-01-03T12:00:00-07:00")
	cases := []struct {
		at           time.Time
		format, want string
	}{
		{afternoon, "dddd, MMMM Do YYYY, h:mm:ss a", "Sunday, February 14th 2010, 3:25:50 pm"},
		{afternoon, "ddd, hA", "Sun, 3PM"},
		{afternoon, "[Today is] dddd", "Today is Sunday"},
		{afternoon, "YYYYMMDD", "20100214"},
		{afternoon, "YYYYMMDD-HHmmss", "20100214-152550"},
		{afternoon, "M MM MMM MMMM Mo", "2 02 Feb February 2nd"},
		{afternoon, "Q Qo", "1 1st"},
		{afternoon, "D DD Do DDD DDDD DDDo", "14 14 14th 45 045 45th"},
		{afternoon, "d do dd ddd e E", "0 0th Su Sun 0 7"},
		{afternoon, "w ww wo W WW Wo", "8 08 8th 6 06 6th"},
		{afternoon, "gg gggg GG GGGG", "10 2010 10 2010"},
		{afternoon, "Y YY YYYY YYYYYY", "2010 10 2010 +002010"},
		{afternoon, "A a H HH h hh k kk", "PM pm 15 15 3 03 15 15"},
		{afternoon, "m mm s ss S SS SSS SSSS", "25 25 50 50 1 12 125 1250"},
		{afternoon, "hmm hmmss Hmm Hmmss", "325 32550 1525 152550"},
		{afternoon, "X x", "1266161150 1266161150125"},
		{afternoon, "Z ZZ z", "+00:00 +0000 UTC"},
		{afternoon, "LT LTS L l LL ll", "3:25 PM 3:25:50 PM 02/14/2010 2/14/2010 February 14, 2010 Feb 14, 2010"},
		{afternoon, "LLL lll LLLL llll", "February 14, 2010 3:25 PM Feb 14, 2010 3:25 PM Sunday, February 14, 2010 3:25 PM Sun, Feb 14, 2010 3:25 PM"},
		{afternoon, `\M MM [YYYY]`, "M 02 YYYY"},
		{afternoon, "N NNNN y", "AD Anno Domini 2010"},
		{afternoon, "2006.01.02", "2006.01.02"},
		{midnight, "h hh H k kk a", "12 12 0 24 24 am"},
		{midnight, "W GGGG w gggg", "1 2025 1 2025"},
		{midnight, "DDD Do mm", "365 30th 05"},
		{noon, "h A Z ZZ", "12 PM -07:00 -0700"},
		{noon, "w gggg W GGGG E", "2 2021 53 2020 7"},
		{at("2024-11-11T01:01:01Z"), "Do Mo", "11th 11th"},
		{at("2024-08-21T01:01:01Z"), "Do wo", "21st 34th"},
		{at("2024-08-22T01:01:01Z"), "Do", "22nd"},
		{at("2024-08-23T01:01:01Z"), "Do", "23rd"},
		{at("2024-08-12T01:01:01Z"), "Do", "12th"},
		{afternoon, "", "2010-02-14T15:25:50+00:00"},
	}
	for _, c := range cases {
		if got := formatMoment(c.at, c.format); got != c.want {
			t.Errorf("%q at %s gives %q, want %q", c.format, c.at, got, c.want)
		}
	}
}
