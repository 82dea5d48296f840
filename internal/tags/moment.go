package tags

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // the action's image holds no time zones
)

// tokens of Moment.js, the longest first; what stands in brackets is taken as it is.
// https://momentjs.com/docs/#/displaying/format/
var tokens = regexp.MustCompile(`\[[^\[]*\]|\\?(?:hmmss|hmm|Hmmss|Hmm|Mo|MM?M?M?|Do|DDDo|DD?D?D?|do|dd?d?d?|wo|ww?|Wo|WW?|Qo|Q|YYYYYY|YYYYY|YYYY|YY|Y|gggg?g?|gg|GGGG?G?|GG|a|A|hh?|HH?|kk?|mm?|ss?|S{1,9}|x|X|zz?|ZZ?|LTS|LT|LL?L?L?|l{1,4}|e|E|N{1,5}|y{1,4})`)

// localized are Moment's formats of the English locale.
var localized = map[string]string{"LTS": "h:mm:ss A", "LT": "h:mm A", "L": "MM/DD/YYYY", "LL": "MMMM D, YYYY", "LLL": "MMMM D, YYYY h:mm A", "LLLL": "dddd, MMMM D, YYYY h:mm A",
	"l": "M/D/YYYY", "ll": "MMM D, YYYY", "lll": "MMM D, YYYY h:mm A", "llll": "ddd, MMM D, YYYY h:mm A"}

// formatMoment formats a time as Moment.js does in its English locale; without a format, as ISO 8601.
func formatMoment(t time.Time, format string) string {
	if format == "" {
		format = "YYYY-MM-DDTHH:mm:ssZ"
	}
	return tokens.ReplaceAllStringFunc(format, func(token string) string {
		if long, ok := localized[token]; ok {
			return formatMoment(t, long)
		}
		return momentToken(t, token)
	})
}

func momentToken(t time.Time, token string) string {
	switch token[0] {
	case '[':
		return token[1 : len(token)-1]
	case '\\': // which takes what follows as it is
		return token[1:]
	case 'M', 'D', 'd', 'Q', 'e', 'E':
		return momentDay(t, token)
	case 'Y', 'y', 'N', 'w', 'W', 'g', 'G':
		return momentYear(t, token)
	case 'z', 'Z':
		return momentZone(t, token)
	default:
		return momentClock(t, token)
	}
}

func momentDay(t time.Time, token string) string {
	month, day, weekday, yearDay := int(t.Month()), t.Day(), int(t.Weekday()), t.YearDay()
	switch token {
	case "M", "MM":
		return padded(month, len(token))
	case "MMM", "MMMM":
		return named(t.Month().String(), token, 3)
	case "Mo":
		return ordinal(month)
	case "D", "DD":
		return padded(day, len(token))
	case "Do":
		return ordinal(day)
	case "DDD":
		return fmt.Sprint(yearDay)
	case "DDDD":
		return padded(yearDay, 3)
	case "DDDo":
		return ordinal(yearDay)
	case "d", "e":
		return fmt.Sprint(weekday)
	case "do":
		return ordinal(weekday)
	case "dd":
		return t.Weekday().String()[:2]
	case "ddd", "dddd":
		return named(t.Weekday().String(), token, 3)
	case "E":
		return fmt.Sprint((weekday+6)%7 + 1)
	case "Q":
		return fmt.Sprint((month + 2) / 3)
	default: // Qo
		return ordinal((month + 2) / 3)
	}
}

// named shortens a name where the token has as many letters.
func named(name, token string, short int) string {
	if len(token) == short {
		return name[:short]
	}
	return name
}

func momentYear(t time.Time, token string) string {
	isoYear, isoWeek := t.ISOWeek()
	localYear, localWeek := localWeek(t)
	switch token {
	case "YY":
		return padded(t.Year()%100, 2)
	case "YYYYYY":
		return fmt.Sprintf("+%06d", t.Year())
	case "YYYYY", "YYYY":
		return padded(t.Year(), len(token))
	case "w", "ww":
		return padded(localWeek, len(token))
	case "wo":
		return ordinal(localWeek)
	case "W", "WW":
		return padded(isoWeek, len(token))
	case "Wo":
		return ordinal(isoWeek)
	case "gg", "GG":
		return padded(map[byte]int{'g': localYear, 'G': isoYear}[token[0]]%100, 2)
	case "gggg", "ggggg":
		return padded(localYear, len(token))
	case "GGGG", "GGGGG":
		return padded(isoYear, len(token))
	}
	switch token[0] {
	case 'N':
		return map[bool]string{true: "Anno Domini", false: "AD"}[len(token) == 4]
	case 'g', 'G': // three of them are no token
		return token
	default: // Y, and y, the year of the era
		return padded(t.Year(), min(len(token), 4))
	}
}

// localWeek is the week of the English locale: weeks begin on Sunday, and the first holds the first of January.
func localWeek(t time.Time) (year, week int) {
	saturday := t.AddDate(0, 0, 6-int(t.Weekday()))
	return saturday.Year(), (saturday.YearDay()-1)/7 + 1
}

func momentClock(t time.Time, token string) string {
	hour, noon := t.Hour(), "AM"
	if hour >= 12 {
		noon = "PM"
	}
	twelve := (hour+11)%12 + 1
	switch token {
	case "A":
		return noon
	case "a":
		return strings.ToLower(noon)
	case "H", "HH":
		return padded(hour, len(token))
	case "h", "hh":
		return padded(twelve, len(token))
	case "k", "kk":
		return padded((hour+23)%24+1, len(token))
	case "m", "mm":
		return padded(t.Minute(), len(token))
	case "s", "ss":
		return padded(t.Second(), len(token))
	case "hmm":
		return fmt.Sprintf("%d%02d", twelve, t.Minute())
	case "hmmss":
		return fmt.Sprintf("%d%02d%02d", twelve, t.Minute(), t.Second())
	case "Hmm":
		return fmt.Sprintf("%d%02d", hour, t.Minute())
	case "Hmmss":
		return fmt.Sprintf("%d%02d%02d", hour, t.Minute(), t.Second())
	case "X":
		return fmt.Sprint(t.Unix())
	case "x":
		return fmt.Sprint(t.UnixMilli())
	default: // S, up to nine of them; Moment knows milliseconds and fills up with zeros
		return (fmt.Sprintf("%03d", t.Nanosecond()/1e6) + "000000")[:len(token)]
	}
}

func momentZone(t time.Time, token string) string {
	name, offset := t.Zone()
	if token[0] == 'z' {
		return name
	}
	sign := '+'
	if offset < 0 {
		sign, offset = '-', -offset
	}
	between := ":"
	if token == "ZZ" {
		between = ""
	}
	return fmt.Sprintf("%c%02d%s%02d", sign, offset/3600, between, offset%3600/60)
}

func padded(n, width int) string { return fmt.Sprintf("%0*d", width, n) }

func ordinal(n int) string {
	suffix := "th"
	if n%100/10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprint(n) + suffix
}
