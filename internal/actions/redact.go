package actions

import "reflect"

// Redacted returns a copy of a value in which every text has passed through redact: fields that are
// exported, elements, and what they hold or point to. Texts are redacted before they are written as JSON or
// Markdown, because escaping would hide a secret that has quotes or angle brackets in it.
func Redacted[T any](v T, redact func(string) string) T {
	in := reflect.ValueOf(&v).Elem()
	return redacted(in, redact).Interface().(T)
}

func redacted(in reflect.Value, redact func(string) string) reflect.Value {
	out := reflect.New(in.Type()).Elem()
	out.Set(in)
	switch in.Kind() {
	case reflect.String:
		out.SetString(redact(in.String()))
	case reflect.Pointer:
		if !in.IsNil() {
			out.Set(reflect.New(in.Type().Elem()))
			out.Elem().Set(redacted(in.Elem(), redact))
		}
	case reflect.Struct:
		for i := range in.NumField() {
			if in.Type().Field(i).IsExported() {
				out.Field(i).Set(redacted(in.Field(i), redact))
			}
		}
	case reflect.Slice:
		if in.IsNil() {
			break
		}
		out.Set(reflect.MakeSlice(in.Type(), in.Len(), in.Len()))
		for i := range in.Len() {
			out.Index(i).Set(redacted(in.Index(i), redact))
		}
	case reflect.Map:
		if in.IsNil() {
			break
		}
		out.Set(reflect.MakeMap(in.Type()))
		for pair := in.MapRange(); pair.Next(); {
			out.SetMapIndex(redacted(pair.Key(), redact), redacted(pair.Value(), redact))
		}
	}
	return out
}
