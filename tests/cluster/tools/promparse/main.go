package main

import _ "github.com/prometheus/prometheus/model/textparse"

func main() {}
