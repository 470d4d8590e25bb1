module headwater/conformance

go 1.23

require headwater/client v0.1.0

replace headwater/client => ../../go
