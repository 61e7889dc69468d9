module example.com/callparams/testdata/v1beside

go 1.24.0

require (
	example.com/callparams v0.0.0
	github.com/nyaruka/phonenumbers v1.8.1
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/nyaruka/phonenumbers/v2 v2.0.8 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/text v0.34.0 // indirect
	google.golang.org/protobuf v1.36.11 // indirect
)

replace example.com/callparams => ../..
