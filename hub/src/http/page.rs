//! The page and its parts, as they are in `hub/web`.

/// A file of the page.
pub(super) struct File {
    pub(super) path: &'static str,
    pub(super) kind: &'static str,
    pub(super) body: &'static str,
}

macro_rules! files {
    ($($path:literal $kind:literal $name:literal,)*) => {
        &[$(File { path: $path, kind: $kind, body: include_str!(concat!("../../web/", $name)) },)*]
    };
}

const FILES: &[File] = files! {
    "/" "text/html; charset=utf-8" "index.html",
    "/style.css" "text/css; charset=utf-8" "style.css",
    "/app.js" "text/javascript; charset=utf-8" "app.js",
    "/net.js" "text/javascript; charset=utf-8" "net.js",
    "/piano.js" "text/javascript; charset=utf-8" "piano.js",
    "/sound.js" "text/javascript; charset=utf-8" "sound.js",
    "/icon.svg" "image/svg+xml" "icon.svg",
};

/// What a page from here may do: nothing with others than this server.
pub(super) const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The file at this path.
pub(super) fn file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_needs_nobody_else() {
        assert!(FILES.iter().map(|file| file.body.len()).sum::<usize>() < 200_000);
        for file in FILES {
            let foreign = file.body.replace("http://www.w3.org/2000/svg", "");
            assert!(!foreign.contains("http://") && !foreign.contains("https://"), "{}", file.path);
        }
    }
}
