"""Labels of features: files of them and profiles come in, labels in a store and files of labels go out."""
