mod escape;
