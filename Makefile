PYTHON ?= python3

.PHONY: tutorial test test-browser lab bench experiment clean
tutorial: ; $(PYTHON) -m riskmap tutorial
test: ; $(PYTHON) -m riskmap test
test-browser: ; $(PYTHON) -m riskmap test-browser
lab: ; $(PYTHON) -m riskmap lab
bench: ; $(PYTHON) -m riskmap bench
experiment: ; $(PYTHON) -m riskmap experiment
clean: ; $(PYTHON) -m riskmap clean
