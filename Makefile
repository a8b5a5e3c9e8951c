PYTHON ?= python3

.PHONY: tutorial test lab bench experiment clean
tutorial: ; $(PYTHON) -m riskmap tutorial
test: ; $(PYTHON) -m riskmap test
lab: ; $(PYTHON) -m riskmap lab
bench: ; $(PYTHON) -m riskmap bench
experiment: ; $(PYTHON) -m riskmap experiment
clean: ; $(PYTHON) -m riskmap clean
