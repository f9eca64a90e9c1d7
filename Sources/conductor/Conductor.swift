@main struct Conductor { static func main() {} }
