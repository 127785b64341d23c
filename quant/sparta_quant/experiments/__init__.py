"""The paper's ablations on a data set of choice: Tables 1 to 4, figures 3 and 4."""
