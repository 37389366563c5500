"""What is shown: figures, printed pages, pictures in the terminal. Nothing else in the package imports matplotlib."""
