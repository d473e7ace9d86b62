module mainstay.test/tools/pause

go 1.26
