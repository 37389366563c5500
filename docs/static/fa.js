// The theme's Font Awesome rewrites every icon on the page, also those that a widget will look for. It may not.
window.FontAwesomeConfig = { observeMutations: false };
