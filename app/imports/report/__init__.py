"""The result file: the rows of the upload again, each with its status and the reason for it."""
